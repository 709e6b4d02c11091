using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Hybrid.Telemetry.Model;

/// <summary>
/// The attributes of something, by name. Values are <see cref="string"/>, <see cref="bool"/>, <see cref="long"/>,
/// <see cref="double"/>, <c>byte[]</c>, an array of values, an <see cref="AttributeCollection"/>, or null.
/// Two sets are equal when they have the same names and values.
/// </summary>
public sealed class AttributeCollection : IReadOnlyDictionary<string, object?>, IEquatable<AttributeCollection>
{
    public static readonly AttributeCollection Empty = new([]);

    private readonly KeyValuePair<string, object?>[] _items;
    private readonly string _canonical;

    /// <summary>Takes the attributes over. Where a name comes twice, the last one counts.</summary>
    public AttributeCollection(IEnumerable<KeyValuePair<string, object?>> attributes)
    {
        var byName = new SortedDictionary<string, object?>(StringComparer.Ordinal);
        foreach (var (name, value) in attributes)
            byName[name] = value;
        _items = [.. byName];
        _canonical = Canonical(_items);
    }

    public IEnumerable<string> Keys => _items.Select(i => i.Key);

    public IEnumerable<object?> Values => _items.Select(i => i.Value);

    public int Count => _items.Length;

    public object? this[string key] => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException($"There is no attribute '{key}'.");

    public bool ContainsKey(string key) => TryGetValue(key, out _);

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out object? value)
    {
        foreach (var item in _items)
        {
            if (item.Key == key)
            {
                value = item.Value;
                return true;
            }
        }

        value = null;
        return false;
    }

    /// <summary>The attribute as a text; null when there is none.</summary>
    public string? Text(string key) => TryGetValue(key, out var value) && value is not null ? ToText(value) : null;

    /// <summary>Whether all the others are here, with the same values. Numbers of any type are compared as numbers.</summary>
    public bool Includes(IEnumerable<KeyValuePair<string, object?>> others) =>
        others.All(o => TryGetValue(o.Key, out var value) && ToText(value) == ToText(o.Value));

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => _items.AsEnumerable().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public bool Equals(AttributeCollection? other) => other is not null && _canonical == other._canonical;

    public override bool Equals(object? obj) => Equals(obj as AttributeCollection);

    public override int GetHashCode() => _canonical.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => string.Join(", ", _items.Select(i => $"{i.Key}={ToText(i.Value)}"));

    internal static string ToText(object? value) => value switch
    {
        null => "",
        string text => text,
        bool b => b ? "true" : "false",
        byte[] bytes => Convert.ToBase64String(bytes),
        IEnumerable<object?> values => $"[{string.Join(", ", values.Select(ToText))}]",
        AttributeCollection set => $"{{{set}}}",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };

    // Lengths before the texts make it unambiguous.
    private static string Canonical(KeyValuePair<string, object?>[] items)
    {
        var text = new StringBuilder();
        foreach (var (name, value) in items)
        {
            var valueText = ToText(value);
            text.Append(CultureInfo.InvariantCulture, $"{name.Length}:{name}{value?.GetType().Name}{valueText.Length}:{valueText}");
        }

        return text.ToString();
    }
}
