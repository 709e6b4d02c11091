using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.Tests.Harness;

/// <summary>What a resource printed.</summary>
internal static class ResourceOutput
{
    public static async Task<IReadOnlyList<string>> TailAsync(DistributedApplication app, string resource, int lines)
    {
        var all = new List<string>();
        // By the resource, not by its name: logs are kept under the name that the orchestrator gives each instance.
        var model = app.Services.GetRequiredService<DistributedApplicationModel>().Resources.Single(r => r.Name == resource);
        await foreach (var batch in app.Services.GetRequiredService<ResourceLoggerService>().GetAllAsync(model))
            all.AddRange(batch.Select(line => line.Content));
        return [.. all.TakeLast(lines)];
    }
}
