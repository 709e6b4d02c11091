using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>Knows the state of every resource, and tells of each change.</summary>
public class ResourceNotificationService
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, ResourceEvent> _latest = new(StringComparer.OrdinalIgnoreCase);
    private readonly List<Channel<ResourceEvent>> _watchers = [];
    private string? _failure;
    private bool _completed;

    /// <summary>The latest event of every instance, in the order in which they were first heard of.</summary>
    public IReadOnlyList<ResourceEvent> Current
    {
        get
        {
            lock (_lock)
                return [.. _latest.Values];
        }
    }

    /// <summary>What is true now of every instance, then every change.</summary>
    public async IAsyncEnumerable<ResourceEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var channel = Channel.CreateUnbounded<ResourceEvent>(new UnboundedChannelOptions { SingleReader = true });
        lock (_lock)
        {
            // Why the run has failed says more than the states that came of it.
            if (_failure is not null)
                throw new DistributedApplicationException(_failure);
            foreach (var e in _latest.Values)
                channel.Writer.TryWrite(e);
            if (_completed)
                channel.Writer.TryComplete();
            _watchers.Add(channel);
        }

        try
        {
            await foreach (var e in channel.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
                yield return e;
        }
        finally
        {
            lock (_lock)
                _watchers.Remove(channel);
        }
    }

    public bool TryGetCurrentState(string resourceId, [NotNullWhen(true)] out ResourceEvent? resourceEvent)
    {
        lock (_lock)
            return _latest.TryGetValue(resourceId, out resourceEvent);
    }

    /// <summary>Waits until an instance of the resource is in the state; <see cref="KnownResourceStates.Running"/> when none is named.</summary>
    public Task WaitForResourceAsync(string resourceName, string? targetState = null, CancellationToken cancellationToken = default) =>
        WaitForResourceAsync(resourceName, [targetState ?? KnownResourceStates.Running], cancellationToken);

    /// <summary>Waits until an instance of the resource is in one of the states, and says in which.</summary>
    public async Task<string> WaitForResourceAsync(
        string resourceName, IEnumerable<string> targetStates, CancellationToken cancellationToken = default)
    {
        var wanted = targetStates.ToHashSet(StringComparer.OrdinalIgnoreCase);
        var e = await WaitForResourceAsync(resourceName, e => e.Snapshot.State is { } s && wanted.Contains(s.Text), cancellationToken)
            .ConfigureAwait(false);
        return e.Snapshot.State!.Text;
    }

    public async Task<ResourceEvent> WaitForResourceAsync(
        string resourceName, Func<ResourceEvent, bool> predicate, CancellationToken cancellationToken = default)
    {
        await foreach (var e in WatchAsync(cancellationToken).ConfigureAwait(false))
            if (string.Equals(e.Resource.Name, resourceName, StringComparison.OrdinalIgnoreCase) && predicate(e))
                return e;
        throw new OperationCanceledException($"The application ended while '{resourceName}' was waited for.", cancellationToken);
    }

    /// <summary>Waits until every instance of the resource runs and its checks, if it has any, all pass.</summary>
    /// <exception cref="DistributedApplicationException">The resource cannot start.</exception>
    public Task<ResourceEvent> WaitForResourceHealthyAsync(string resourceName, CancellationToken cancellationToken = default) =>
        WaitForResourceHealthyAsync(resourceName, WaitBehavior.StopOnResourceUnavailable, cancellationToken);

    /// <inheritdoc cref="WaitForResourceHealthyAsync(string, CancellationToken)"/>
    public Task<ResourceEvent> WaitForResourceHealthyAsync(
        string resourceName, WaitBehavior waitBehavior, CancellationToken cancellationToken = default) =>
        WaitForResourceAsync(
            resourceName,
            e =>
            {
                if (e.Snapshot.State?.Text == KnownResourceStates.FailedToStart && waitBehavior == WaitBehavior.StopOnResourceUnavailable)
                    throw new DistributedApplicationException($"{e.ResourceId} cannot start (exit code {e.Snapshot.ExitCode?.ToString() ?? "unknown"}).");
                return e.Snapshot.IsHealthy && InstancesOf(e.Resource).All(i => i.Snapshot.IsHealthy);
            },
            cancellationToken);

    internal IReadOnlyList<ResourceEvent> InstancesOf(IResource resource)
    {
        lock (_lock)
            return [.. _latest.Values.Where(e => e.Resource == resource)];
    }

    internal void Publish(IResource resource, string resourceId, Func<CustomResourceSnapshot, CustomResourceSnapshot> change)
    {
        lock (_lock)
        {
            var before = _latest.TryGetValue(resourceId, out var e) ? e.Snapshot : new CustomResourceSnapshot { ResourceType = resource.GetType().Name };
            var after = change(before);
            if (after == before)
                return;
            var next = new ResourceEvent(resource, resourceId, after);
            _latest[resourceId] = next;
            foreach (var watcher in _watchers)
                watcher.Writer.TryWrite(next);
        }
    }

    /// <summary>Ends every wait: with the reason, where the run has failed.</summary>
    internal void Complete(string? failure)
    {
        lock (_lock)
        {
            _failure ??= failure;
            _completed = true;
            foreach (var watcher in _watchers)
                watcher.Writer.TryComplete(failure is null ? null : new DistributedApplicationException(failure));
        }
    }
}
