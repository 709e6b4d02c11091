using Aspire.Hosting.Eventing;
using Aspire.Hosting.Lifecycle;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Running;

/// <summary>Marks a program that is started again when it crashes, and keeps what is known of its crashes.</summary>
/// <param name="refusalExitCode">Exit code by which the program says that it refuses its settings: a restart would not help. Null when it has none.</param>
internal sealed class RestartOnCrashAnnotation(int? refusalExitCode) : IResourceAnnotation
{
    /// <summary>A program that ran this long has recovered: its next crash is the first of a new series.</summary>
    private static readonly TimeSpan Recovered = TimeSpan.FromSeconds(30);

    private readonly Lock gate = new();
    private DateTime? handled;
    private DateTime lastCrash;
    private int attempt;

    public int? RefusalExitCode { get; } = refusalExitCode;

    /// <summary>Whether it is being stopped, or has been, by a command.</summary>
    public bool IsStopping { get; set; }

    /// <summary>The number of this crash among those that follow one another; null when the end of the run has been handled.</summary>
    public int? CountCrash(DateTime? startOfRun)
    {
        lock (gate)
        {
            // The orchestrator can publish the end of one run twice.
            if (startOfRun is not null && startOfRun == handled)
                return null;
            handled = startOfRun;
            attempt = DateTime.UtcNow - lastCrash > Recovered ? 1 : attempt + 1;
            lastCrash = DateTime.UtcNow;
            return attempt;
        }
    }
}

/// <summary>
/// Starts crashed programs again, after a pause that doubles while crashes follow one another. The orchestrator itself leaves an
/// executable that has ended as it is.
/// </summary>
internal sealed class RestartOnCrash(
    ResourceNotificationService notifications, ResourceCommandService commands, ResourceLoggerService resourceLogs,
    StartReport report, IHostApplicationLifetime lifetime, ILogger<RestartOnCrash> terminal) : IDistributedApplicationEventingSubscriber
{
    /// <summary>How the state of a crashed program begins, until it runs again.</summary>
    public const string CrashedState = "Crashed";

    private static readonly TimeSpan ShortestPause = TimeSpan.FromSeconds(0.25);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(10);

    /// <summary>Exit code of a program that was ended by SIGTERM and does not handle it, as Java: somebody asked for that end.</summary>
    private const int Terminated = 128 + 15;

    public Task SubscribeAsync(IDistributedApplicationEventing eventing, DistributedApplicationExecutionContext context, CancellationToken cancellationToken)
    {
        eventing.Subscribe<ResourceStoppedEvent>((stopped, _) =>
        {
            // The publisher waits for its subscribers, and a pause must not hold up other resources.
            if (stopped.Resource.TryGetLastAnnotation<RestartOnCrashAnnotation>(out var program))
                Task.Run(() => RestartAsync(stopped.Resource, stopped.ResourceEvent.Snapshot, program), CancellationToken.None);
            return Task.CompletedTask;
        });
        _ = WatchStopsAsync();
        return Task.CompletedTask;
    }

    /// <summary>A stop by a command passes through the state Stopping.</summary>
    private async Task WatchStopsAsync()
    {
        await foreach (var change in notifications.WatchAsync(lifetime.ApplicationStopping))
        {
            var state = change.Snapshot.State?.Text;
            if ((state == KnownResourceStates.Stopping || state == KnownResourceStates.Running)
                && change.Resource.TryGetLastAnnotation<RestartOnCrashAnnotation>(out var program))
                program.IsStopping = state == KnownResourceStates.Stopping;
        }
    }

    private async Task RestartAsync(IResource resource, CustomResourceSnapshot end, RestartOnCrashAnnotation program)
    {
        var log = resourceLogs.GetLogger(resource);
        if (lifetime.ApplicationStopping.IsCancellationRequested || program.IsStopping || end.ExitCode is 0 or Terminated)
            return;
        if (end.ExitCode is { } exitCode && exitCode == program.RefusalExitCode)
        {
            log.LogError("Refused its settings (exit code {ExitCode}); it is not started again.", exitCode);
            report.Fail(resource, $"refused its settings (exit code {exitCode}): {await LastLineAsync(resource)}");
            return;
        }
        if (program.CountCrash(end.StartTimeStamp) is not { } attempt)
            return;
        var pause = TimeSpan.FromTicks(Math.Min(LongestPause.Ticks, ShortestPause.Ticks << Math.Min(attempt - 1, 16)));
        await SetStateAsync(resource, new ResourceStateSnapshot($"{CrashedState}, restart {attempt}", KnownResourceStateStyles.Warn));
        await Task.Delay(pause, lifetime.ApplicationStopping);
        if (program.IsStopping)
        {
            await SetStateAsync(resource, end.State);
            return;
        }
        log.LogWarning("Crashed (exit code {ExitCode}); restart {Attempt}, after {Pause:0.0} s.", end.ExitCode, attempt, pause.TotalSeconds);
        terminal.LogWarning("{Resource} crashed (exit code {ExitCode}); restart {Attempt}, after {Pause:0.0} s.", resource.Name, end.ExitCode, attempt, pause.TotalSeconds);
        var started = await commands.ExecuteCommandAsync(resource, KnownResourceCommands.StartCommand, lifetime.ApplicationStopping);
        if (!started.Success && !lifetime.ApplicationStopping.IsCancellationRequested)
            log.LogError("Could not be started again: {Message}", started.Message);
    }

    private Task SetStateAsync(IResource resource, ResourceStateSnapshot? state) =>
        notifications.PublishUpdateAsync(resource, snapshot => snapshot with { State = state });

    private async Task<string> LastLineAsync(IResource resource)
    {
        var last = "";
        await foreach (var batch in resourceLogs.GetAllAsync(resource))
            last = batch.Select(line => line.Content).LastOrDefault(line => !string.IsNullOrWhiteSpace(line), last);
        return last;
    }
}

internal static class RestartOnCrashExtensions
{
    /// <summary>Starts the program again when it crashes, but not when it was stopped on purpose or ends with <paramref name="refusalExitCode"/>.</summary>
    public static IResourceBuilder<T> WithRestartOnCrash<T>(this IResourceBuilder<T> program, int? refusalExitCode = null)
        where T : class, IResource
    {
        program.ApplicationBuilder.Services.TryAddEventingSubscriber<RestartOnCrash>();
        return program.WithAnnotation(new RestartOnCrashAnnotation(refusalExitCode));
    }
}
