using System.Diagnostics;

namespace Hybrid.Tests;

/// <summary>The process behind a resource.</summary>
internal static class ResourceProcess
{
    /// <summary>Kills it as <c>kill -9</c> does, and waits until another one is healthy in its place.</summary>
    public static async Task KillAndWaitForReturnAsync(DistributedApplication app, string resource)
    {
        var killed = IdOf(app, resource) ?? throw new InvalidOperationException($"{resource} has no process.");
        using (var process = Process.GetProcessById(killed))
            process.Kill();
        await Eventually.HoldsAsync($"{resource} to have a new process", () => Task.FromResult(IdOf(app, resource)), id => id is not null && id != killed);
        await app.ResourceNotifications.WaitForResourceHealthyAsync(resource, TestContext.Current.CancellationToken).WaitAsync(Eventually.Patience);
    }

    private static int? IdOf(DistributedApplication app, string resource) =>
        app.ResourceNotifications.TryGetCurrentState(resource, out var current) && current.Snapshot.State?.Text == KnownResourceStates.Running
            ? current.Snapshot.ProcessId
            : null;
}
