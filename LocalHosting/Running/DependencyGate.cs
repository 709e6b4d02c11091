using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Processes;

namespace Aspire.Hosting.Running;

/// <summary>Holds a resource back until those that it waits for are ready.</summary>
internal sealed class DependencyGate(ResourceNotificationService notifications, ResourceLogs logs)
{
    /// <exception cref="DistributedApplicationException">One of them will never be ready.</exception>
    public Task WaitAsync(IResource resource, CancellationToken cancellationToken) =>
        Task.WhenAll(resource.Annotations.OfType<WaitAnnotation>().Select(wait => WaitAsync(resource, wait, cancellationToken)));

    private async Task WaitAsync(IResource resource, WaitAnnotation wait, CancellationToken cancellationToken) =>
        await notifications.WaitForResourceAsync(wait.Resource.Name, e => IsReady(resource, wait, e), cancellationToken).ConfigureAwait(false);

    private bool IsReady(IResource resource, WaitAnnotation wait, ResourceEvent e)
    {
        var state = e.Snapshot.State?.Text;
        if (state == KnownResourceStates.FailedToStart)
            throw new DistributedApplicationException($"{resource.Name} waits for {e.ResourceId}, which cannot start{Reason(e)}");
        var instances = notifications.InstancesOf(wait.Resource);
        switch (wait.WaitType)
        {
            case WaitType.WaitUntilHealthy when state == KnownResourceStates.Finished:
                throw new DistributedApplicationException($"{resource.Name} waits for {e.ResourceId} to be healthy, which has ended.");
            case WaitType.WaitUntilHealthy:
                return instances.All(i => i.Snapshot.IsHealthy);
            case WaitType.WaitUntilStarted:
                return instances.All(i => i.Snapshot.State?.Text == KnownResourceStates.Running
                    || KnownResourceStates.TerminalStates.Contains(i.Snapshot.State?.Text));
            default:
                if (state is null || !KnownResourceStates.TerminalStates.Contains(state))
                    return false;
                if (e.Snapshot.ExitCode != wait.ExitCode)
                    throw new DistributedApplicationException($"{resource.Name} waits for {e.ResourceId} to complete, which has failed{Reason(e)}");
                return instances.All(i => i.Snapshot.ExitCode == wait.ExitCode);
        }
    }

    private string Reason(ResourceEvent e)
    {
        var code = e.Snapshot.ExitCode is { } c ? $" (exit {ExitCodes.Describe(c)})" : "";
        var lastLine = logs.Tail(e.ResourceId).LastOrDefault(l => !string.IsNullOrWhiteSpace(l));
        return lastLine is null ? code + "." : $"{code}: {lastLine}";
    }
}
