using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Running;

/// <summary>
/// Ends dependents before what they depend on, so that events are flushed before Kafka goes. Left alone, the orchestrator ends all
/// processes at the same moment. Services stop in the reverse of the order in which they were added, so this one is before it.
/// </summary>
internal sealed class OrderedStop(
    DistributedApplicationModel model, ResourceCommandService commands, ResourceNotificationService notifications, ILogger<OrderedStop> terminal) : IHostedService
{
    /// <summary>How long one layer may take: a drain has a deadline of 10 s in every program of ours.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        foreach (var layer in Layers(model.Resources, WaitsFor))
            await Task.WhenAll(layer.Where(IsRunningProcess).Select(resource => StopAsync(resource, cancellationToken)));
    }

    /// <summary>Groups the resources so that each comes before everything that it waits for.</summary>
    /// <param name="waitsFor">What a resource waits for; it may name resources that are not in <paramref name="all"/>.</param>
    internal static IEnumerable<IReadOnlyList<T>> Layers<T>(IEnumerable<T> all, Func<T, IEnumerable<T>> waitsFor)
        where T : notnull
    {
        var left = all.ToHashSet();
        while (left.Count > 0)
        {
            var needed = left.SelectMany(waitsFor).ToHashSet();
            var layer = left.Where(resource => !needed.Contains(resource)).ToList();
            // Resources that wait for each other have no order.
            if (layer.Count == 0)
                layer = [.. left];
            left.ExceptWith(layer);
            yield return layer;
        }
    }

    /// <summary>A database waits for the server that it is a part of.</summary>
    private static IEnumerable<IResource> WaitsFor(IResource resource) =>
        [.. resource.Annotations.OfType<WaitAnnotation>().Select(wait => wait.Resource), .. resource is IResourceWithParent child ? [child.Parent] : (IResource[])[]];

    private bool IsRunningProcess(IResource resource) =>
        resource.IsProgram() && notifications.TryGetCurrentState(resource.Name, out var current) && current.Snapshot.State?.Text is { } state
        && !KnownResourceStates.TerminalStates.Contains(state) && state != KnownResourceStates.NotStarted;

    private async Task StopAsync(IResource resource, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Patience);
        try
        {
            var stopped = await commands.ExecuteCommandAsync(resource, KnownResourceCommands.StopCommand, deadline.Token);
            if (stopped.Success)
                await notifications.WaitForResourceAsync(resource.Name, KnownResourceStates.TerminalStates, deadline.Token);
            else
                terminal.LogWarning("{Resource} could not be stopped in order: {Message}", resource.Name, stopped.Message);
        }
        catch (OperationCanceledException)
        {
            terminal.LogWarning("{Resource} did not end within {Patience:0} s; it is ended with the rest.", resource.Name, Patience.TotalSeconds);
        }
    }
}
