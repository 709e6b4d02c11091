using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.ConsoleView;

/// <summary>Prints the table once everything is healthy, and then when a state has changed, but not in quick succession.</summary>
internal sealed class StateTablePrinter(ResourceNotificationService notifications, ConsoleOutput console, HostLog log, TimeProvider time)
    : BackgroundService
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var started = time.GetTimestamp();
        string? printed = null;
        try
        {
            await foreach (var _ in notifications.WatchAsync(stoppingToken).ConfigureAwait(false))
            {
                if (printed is null ? !AllReady() : States() == printed)
                    continue;
                if (printed is null)
                    log.Say($"all healthy after {time.GetElapsedTime(started).TotalSeconds:0.0} s");
                else
                    await Task.Delay(s_pause, time, stoppingToken).ConfigureAwait(false);
                printed = States();
                console.WriteBlock(StateTable.Render(Shown()));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or DistributedApplicationException)
        {
            // The run ends, and says itself why.
        }
    }

    private bool AllReady() => Shown().All(e => e.Snapshot.IsHealthy
        || e.Snapshot.State?.Text == KnownResourceStates.Finished
        || e.Resource.TryGetLastAnnotation<ExplicitStartupAnnotation>(out _));

    private IEnumerable<ResourceEvent> Shown() => notifications.Current.Where(e => e.Resource is not ParameterResource);

    private string States() => string.Join(';', Shown().Select(e => $"{e.ResourceId}={StateTable.StateOf(e.Snapshot)},{e.Snapshot.ProcessId}"));
}
