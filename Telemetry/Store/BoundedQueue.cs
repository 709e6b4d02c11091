using System.Diagnostics.CodeAnalysis;

namespace Hybrid.Telemetry.Store;

/// <summary>Keeps the latest of what is added, within a number and a sum of sizes. Not for several threads.</summary>
internal sealed class BoundedQueue<T>(int maxCount, long maxBytes)
{
    private readonly Queue<(T Item, int Bytes)> _items = new();
    private long _bytes;

    public IEnumerable<T> Items => _items.Select(i => i.Item);

    public int Count => _items.Count;

    public void Add(T item, int bytes)
    {
        _items.Enqueue((item, bytes));
        _bytes += bytes;
    }

    /// <summary>Gives the oldest up while there is too much.</summary>
    public bool TryEvict([MaybeNullWhen(false)] out T item)
    {
        if (_items.Count <= maxCount && _bytes <= maxBytes)
        {
            item = default;
            return false;
        }

        (item, var bytes) = _items.Dequeue();
        _bytes -= bytes;
        return true;
    }
}
