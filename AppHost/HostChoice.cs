using System.Reflection;

namespace Hybrid.AppHost;

/// <summary>Which host this build was made for. The build decides it (eng/Aspire.props).</summary>
internal static class HostChoice
{
    public static bool UsesAspire { get; } = Metadata("UseAspire") == "true";

    /// <summary>For people: why.</summary>
    public static string Reason { get; } = Metadata("HostReason") is { Length: > 0 } reason ? reason : "UseAspire was set by hand";

    public static string Metadata(string key) =>
        typeof(HostChoice).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().FirstOrDefault(a => a.Key == key)?.Value ?? "";
}
