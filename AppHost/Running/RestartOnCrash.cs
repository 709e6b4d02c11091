using System.Collections.Concurrent;
using Aspire.Hosting.Eventing;
using Aspire.Hosting.Lifecycle;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Running;

/// <summary>Marks a program that is started again when it crashes.</summary>
/// <param name="RefusalExitCode">Exit code by which the program says that it refuses its settings: a restart would not help. Null when it has none.</param>
internal sealed record RestartOnCrashAnnotation(int? RefusalExitCode) : IResourceAnnotation;

/// <summary>
/// Starts crashed programs again, after a pause that doubles while crashes follow one another. The orchestrator itself leaves an
/// executable that has ended as it is.
/// </summary>
internal sealed class RestartOnCrash(
    ResourceNotificationService notifications,
    ResourceCommandService commands,
    ResourceLoggerService resourceLogs,
    StartFailure startFailure,
    IHostApplicationLifetime lifetime,
    ILoggerFactory logs) : IDistributedApplicationEventingSubscriber
{
    /// <summary>How the state of a crashed program begins, until it runs again.</summary>
    public const string CrashedState = "Crashed";

    private static readonly TimeSpan ShortestPause = TimeSpan.FromSeconds(0.25);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(10);

    /// <summary>A program that ran this long has recovered: its next crash is the first of a new series.</summary>
    private static readonly TimeSpan Recovered = TimeSpan.FromSeconds(30);

    /// <summary>Exit code of a program that was ended by SIGTERM and does not handle it, as Java: somebody asked for that end.</summary>
    private const int Terminated = 128 + 15;

    private readonly ConcurrentDictionary<string, Series> series = new();
    private readonly ConcurrentDictionary<string, bool> stopping = new();
    private readonly ILogger terminal = logs.CreateLogger(Terminal.Category);

    public Task SubscribeAsync(IDistributedApplicationEventing eventing, DistributedApplicationExecutionContext context, CancellationToken cancellationToken)
    {
        eventing.Subscribe<ResourceStoppedEvent>((stopped, _) =>
        {
            // The publisher waits for its subscribers, and a pause must not hold up other resources.
            if (stopped.Resource.TryGetLastAnnotation<RestartOnCrashAnnotation>(out var annotation))
                Task.Run(() => RestartAsync(stopped.Resource, stopped.ResourceEvent, annotation), CancellationToken.None);
            return Task.CompletedTask;
        });
        _ = WatchStopsAsync();
        return Task.CompletedTask;
    }

    /// <summary>A stop by a command passes through the state Stopping.</summary>
    private async Task WatchStopsAsync()
    {
        try
        {
            await foreach (var change in notifications.WatchAsync(lifetime.ApplicationStopping))
            {
                if (change.Snapshot.State?.Text == KnownResourceStates.Stopping)
                    stopping[change.Resource.Name] = true;
                else if (change.Snapshot.State?.Text == KnownResourceStates.Running)
                    stopping[change.Resource.Name] = false;
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task RestartAsync(IResource resource, ResourceEvent stopped, RestartOnCrashAnnotation annotation)
    {
        var log = resourceLogs.GetLogger(resource);
        try
        {
            if (lifetime.ApplicationStopping.IsCancellationRequested || stopping.GetValueOrDefault(resource.Name) || stopped.Snapshot.ExitCode is 0 or Terminated)
                return;
            var exitCode = stopped.Snapshot.ExitCode;
            if (exitCode is not null && exitCode == annotation.RefusalExitCode)
            {
                log.LogError("Refused its settings (exit code {ExitCode}); it is not started again.", exitCode);
                startFailure.Report(resource, $"refused its settings (exit code {exitCode}): {await LastLineAsync(resource)}");
                return;
            }
            var crashes = series.GetOrAdd(resource.Name, _ => new Series());
            // The orchestrator can publish the end of one run twice.
            if (!crashes.TryBegin(stopped.Snapshot.StartTimeStamp, out var attempt))
                return;
            var pause = attempt == 1 ? ShortestPause : TimeSpan.FromTicks(Math.Min(LongestPause.Ticks, ShortestPause.Ticks << Math.Min(attempt - 1, 16)));
            await SetStateAsync(resource, new ResourceStateSnapshot($"{CrashedState}, restart {attempt}", KnownResourceStateStyles.Warn));
            await Task.Delay(pause, lifetime.ApplicationStopping);
            if (stopping.GetValueOrDefault(resource.Name))
            {
                await SetStateAsync(resource, stopped.Snapshot.State);
                return;
            }
            log.LogWarning("Crashed (exit code {ExitCode}); restart {Attempt}, after {Pause:0.0} s.", exitCode, attempt, pause.TotalSeconds);
            terminal.LogWarning("{Resource} crashed (exit code {ExitCode}); restart {Attempt}, after {Pause:0.0} s.", resource.Name, exitCode, attempt, pause.TotalSeconds);
            var started = await commands.ExecuteCommandAsync(resource, KnownResourceCommands.StartCommand, lifetime.ApplicationStopping);
            if (!started.Success && !lifetime.ApplicationStopping.IsCancellationRequested)
                log.LogError("Could not be started again: {Message}", started.Message);
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested)
        {
        }
    }

    private Task SetStateAsync(IResource resource, ResourceStateSnapshot? state) =>
        notifications.PublishUpdateAsync(resource, snapshot => snapshot with { State = state });

    private async Task<string> LastLineAsync(IResource resource)
    {
        var last = "";
        await foreach (var batch in resourceLogs.GetAllAsync(resource))
            last = batch.Where(line => !string.IsNullOrWhiteSpace(line.Content)).Select(line => line.Content).LastOrDefault(last);
        return last;
    }

    /// <summary>Crashes of one resource that follow one another.</summary>
    private sealed class Series
    {
        private readonly Lock gate = new();
        private DateTime? handled;
        private DateTime lastCrash;
        private int attempt;

        public bool TryBegin(DateTime? startOfRun, out int number)
        {
            lock (gate)
            {
                number = attempt;
                if (startOfRun is not null && startOfRun == handled)
                    return false;
                handled = startOfRun;
                var now = DateTime.UtcNow;
                attempt = now - lastCrash > Recovered ? 1 : attempt + 1;
                lastCrash = now;
                number = attempt;
                return true;
            }
        }
    }
}

internal static class RestartOnCrashExtensions
{
    /// <summary>Starts the program again when it crashes, but not when it was stopped on purpose or ends with <paramref name="refusalExitCode"/>.</summary>
    public static IResourceBuilder<T> WithRestartOnCrash<T>(this IResourceBuilder<T> program, int? refusalExitCode = null)
        where T : class, IResource
    {
        program.ApplicationBuilder.Services.TryAddSingleton<StartFailure>();
        program.ApplicationBuilder.Services.TryAddEventingSubscriber<RestartOnCrash>();
        return program.WithAnnotation(new RestartOnCrashAnnotation(refusalExitCode), ResourceAnnotationMutationBehavior.Replace);
    }
}
