using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.ConsoleView;
using Aspire.Hosting.Health;
using Aspire.Hosting.Processes;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Aspire.Hosting.Running;

/// <summary>What runners share.</summary>
internal sealed record RunnerServices(
    ResourceNotificationService Notifications,
    ResourceLogs Logs,
    ConsoleOutput Console,
    HostLog Log,
    DependencyGate Gate,
    HealthMonitor Health,
    LaunchPlan Plan,
    ProcessRecordsHolder Records,
    RunOutcome Outcome,
    StopGrace StopGrace,
    TimeProvider Time);

/// <summary>Brings one instance of a resource up once what it waits for is ready, and watches it until it is stopped.</summary>
internal abstract class Runner(ResourceInstance instance, RunnerServices services) : IDisposable
{
    private static readonly TimeSpan s_tellReasonAfter = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private CancellationTokenSource? _stop;
    private Task _run = Task.CompletedTask;

    public ResourceInstance Instance { get; } = instance;

    protected RunnerServices Services { get; } = services;

    protected IResource Resource => Instance.Resource;

    /// <summary>Ends without patience once it is cancelled.</summary>
    protected CancellationToken KillNow { get; private set; }

    /// <summary>Starts, unless it is running already.</summary>
    public void Start()
    {
        lock (_lock)
        {
            if (!_run.IsCompleted)
                return;
            _stop?.Dispose();
            _stop = new CancellationTokenSource();
            var stop = _stop.Token;
            _run = Task.Run(() => GuardAsync(stop), CancellationToken.None);
        }
    }

    /// <summary>Stops, and returns when nothing is left running.</summary>
    public async Task StopAsync(CancellationToken killNow)
    {
        Task run;
        lock (_lock)
        {
            KillNow = killNow;
            _stop?.Cancel();
            run = _run;
        }

        await run.ConfigureAwait(false);
    }

    public void Dispose() => _stop?.Dispose();

    public void Publish(Func<CustomResourceSnapshot, CustomResourceSnapshot> change) =>
        Services.Notifications.Publish(Resource, Instance.Id, change);

    protected abstract Task RunAsync(CancellationToken stop);

    /// <summary>Keeps the health that is published up to date, and says when it changes.</summary>
    protected async Task WatchHealthAsync(Action onHealthy, CancellationToken cancellationToken)
    {
        var began = Services.Time.GetTimestamp();
        var wasHealthy = false;
        var reason = "no answer yet";
        using var told = Services.Time.CreateTimer(_ => Tell(), null, s_tellReasonAfter, s_tellReasonAfter);
        try
        {
            await Services.Health.WatchAsync(Instance, OnChange, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The process has ended, or is being stopped.
        }

        void OnChange(HealthAnswer answer)
        {
            reason = answer.Reason ?? answer.Status.ToString();
            Publish(s => s with { HealthStatus = answer.Status });
            if (answer.Status == HealthStatus.Healthy)
            {
                told.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                if (Resource.TryGetLastAnnotation<HealthCheckAnnotation>(out _))
                    Services.Log.Say($"{Instance.Id} is healthy{(wasHealthy ? " again" : $" after {Services.Time.GetElapsedTime(began).TotalSeconds:0.0} s")}");
                wasHealthy = true;
                onHealthy();
            }
            else if (wasHealthy)
            {
                told.Change(s_tellReasonAfter, s_tellReasonAfter);
                Tell();
            }
        }

        void Tell()
        {
            if (!cancellationToken.IsCancellationRequested)
                Services.Log.Say($"{Instance.Id} is not healthy: {reason}");
        }
    }

    private async Task GuardAsync(CancellationToken stop)
    {
        try
        {
            if (Resource.Annotations.OfType<WaitAnnotation>().Any())
            {
                Publish(s => s with { State = KnownResourceStates.Waiting });
                await Services.Gate.WaitAsync(Resource, stop).ConfigureAwait(false);
            }

            await RunAsync(stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            Publish(s => s with { State = KnownResourceStates.Exited, HealthStatus = null, ProcessId = null });
        }
        catch (OperationCanceledException)
        {
            // The run has ended while this one still waited.
        }
        catch (DistributedApplicationException e)
        {
            // The reason first: who waits is to hear that, and not only that it failed.
            if (Resource.TryGetLastAnnotation<ExplicitStartupAnnotation>(out _))
                Services.Log.Say(e.Message);
            else
                Services.Outcome.Fail(e.Message);
            Publish(s => s with { State = KnownResourceStates.FailedToStart, HealthStatus = null, ProcessId = null });
        }
#pragma warning disable CA1031 // The host must say what happened, whatever it was, and stop the others in order.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Services.Outcome.Fail($"{Instance.Id}: {e}");
            Publish(s => s with { State = KnownResourceStates.FailedToStart, HealthStatus = null, ProcessId = null });
        }
    }
}

/// <summary>For what is not a process: it is there as soon as what it waits for is.</summary>
internal sealed class PassiveRunner(ResourceInstance instance, RunnerServices services) : Runner(instance, services)
{
    protected override async Task RunAsync(CancellationToken stop)
    {
        Publish(s => s with { State = KnownResourceStates.Running, HealthStatus = null });
        await WatchHealthAsync(() => { }, stop).ConfigureAwait(false);
        await Task.Delay(Timeout.Infinite, stop).ConfigureAwait(false);
    }
}
