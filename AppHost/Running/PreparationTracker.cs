using System.Collections.Concurrent;

namespace Hybrid.AppHost.Running;

/// <summary>The preparations that are under way. The host waits for them at its end, so that no compiler outlives it.</summary>
internal sealed class PreparationTracker
{
    private readonly ConcurrentDictionary<Task, bool> running = new();

    /// <summary>Completes with <paramref name="preparation"/>, which is under way until then.</summary>
    public async Task TrackAsync(Task preparation)
    {
        running.TryAdd(preparation, true);
        try
        {
            await preparation;
        }
        finally
        {
            running.TryRemove(preparation, out _);
        }
    }

    /// <summary>Completes when nothing is under way. How a preparation ended is the business of whoever started it.</summary>
    public Task WhenIdleAsync() => Task.WhenAll(running.Keys).ContinueWith(_ => { }, TaskScheduler.Default);
}
