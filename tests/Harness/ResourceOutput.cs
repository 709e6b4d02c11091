using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.Tests.Harness;

/// <summary>What a resource printed.</summary>
internal static class ResourceOutput
{
    public static async Task<IReadOnlyList<string>> TailAsync(DistributedApplication app, string resource, int lines)
    {
        var all = new List<string>();
        await foreach (var batch in app.Services.GetRequiredService<ResourceLoggerService>().GetAllAsync(resource))
            all.AddRange(batch.Select(line => line.Content));
        return [.. all.TakeLast(lines)];
    }
}
