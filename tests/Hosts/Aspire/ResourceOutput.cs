using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.Tests;

/// <summary>What a resource printed.</summary>
internal static class ResourceOutput
{
    public static IReadOnlyList<string> Tail(DistributedApplication app, string resource, int lines) =>
        [.. app.Services.GetRequiredService<ResourceLoggerService>().GetAllAsync(resource).ToBlockingEnumerable().SelectMany(batch => batch).Select(l => l.Content).TakeLast(lines)];
}
