using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.Tests;

/// <summary>What a resource printed.</summary>
internal static class ResourceOutput
{
    public static IReadOnlyList<string> Tail(DistributedApplication app, string resource, int lines) =>
        app.Services.GetRequiredService<ResourceLogs>().Tail(resource, lines);
}
