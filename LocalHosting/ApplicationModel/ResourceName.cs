namespace Aspire.Hosting.ApplicationModel;

/// <summary>The rules of resource names: letters, digits and single hyphens; at most 64; beginning with a letter.</summary>
internal static class ResourceName
{
    public static void Check(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        string? fault = name switch
        {
            { Length: > 64 } => "is longer than 64 characters",
            _ when !char.IsAsciiLetter(name[0]) => "does not begin with a letter",
            _ when name.Any(c => !char.IsAsciiLetterOrDigit(c) && c != '-') => "has characters other than letters, digits and hyphens",
            _ when name.EndsWith('-') || name.Contains("--", StringComparison.Ordinal) => "has a hyphen that separates nothing",
            _ => null,
        };
        if (fault is not null)
            throw new ArgumentException($"Resource name '{name}' {fault}.", nameof(name));
    }

    /// <summary>The name as the upper-case prefix of environment variables: <c>data-plane-1</c> gives <c>DATA_PLANE_1</c>.</summary>
    public static string ToVariablePrefix(string name) => ToVariable(name).ToUpperInvariant();

    /// <summary>The name with an underscore for each character that a variable cannot have.</summary>
    public static string ToVariable(string name)
    {
        var variable = string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_'));
        return variable.Length > 0 && char.IsAsciiDigit(variable[0]) ? "_" + variable : variable;
    }
}
