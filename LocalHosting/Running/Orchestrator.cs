using System.Runtime.InteropServices;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.ConsoleView;
using Aspire.Hosting.Processes;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Running;

/// <summary>Starts the application, and stops it in reverse order.</summary>
internal sealed class Orchestrator(
    IResourceCollection resources,
    RunnerServices services,
    IConfiguration configuration,
    IHostEnvironment environment,
    IHostApplicationLifetime lifetime,
    TelemetryHost telemetry,
    Runners runners) : IHostedService, IDisposable
{
    // One Ctrl-C may arrive twice: from the terminal, and from a parent that passes it on.
    private static readonly TimeSpan s_oneKeyPress = TimeSpan.FromSeconds(0.3);

    private readonly CancellationTokenSource _killNow = new();
    private readonly Lock _lock = new();
    private Task? _stopped;
    private StateDirectory? _state;
    private PosixSignalRegistration[] _signals = [];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        services.Console.Align(resources.Where(r => r is not ParameterResource).SelectMany(ResourceInstance.Of).Select(i => i.Id));
        var reason = configuration["LocalHosting:Reason"];
        services.Log.Say($"local hosting: resources run as processes of this machine{(string.IsNullOrWhiteSpace(reason) ? "" : $" ({reason})")}");

        _state = StateDirectory.Acquire(StatePath());
        services.Logs.OpenDirectory(_state["logs"]);
        services.Log.Say($"state and logs are in {_state.FullPath}");
        var records = services.Records.Records = new ProcessRecords(_state["processes.json"]);
        foreach (var left in records.EndLeftovers())
            services.Log.Say($"ended {left.Resource} (process {left.Pid}), left by an earlier host");

        WaitCycle.Check(resources);
        EndpointAllocator.Allocate(resources);
        CheckPrograms();
        await telemetry.StartAsync(cancellationToken).ConfigureAwait(false);
        _signals = [WatchForImpatience(), WatchForHangUp()];

        foreach (var resource in resources)
            foreach (var instance in ResourceInstance.Of(resource))
                runners.Add(Create(instance));
        foreach (var runner in runners.All)
            runner.Publish(s => s with { State = KnownResourceStates.NotStarted, Urls = ResourceUrls.Of(runner.Instance) });
        foreach (var runner in runners.All)
            if (!runner.Instance.Resource.TryGetLastAnnotation<ExplicitStartupAnnotation>(out _))
                runner.Start();
        _ = RefreshRecordsAsync(records);
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
            return _stopped ??= StopAllAsync();
    }

    public void Dispose()
    {
        Array.ForEach(_signals, s => s.Dispose());
        _state?.Dispose();
        _killNow.Dispose();
    }

    private async Task StopAllAsync()
    {
        if (runners.All.Count > 0)
            services.Log.Say("stopping");
        var stops = new Dictionary<IResource, Task>();
        await Task.WhenAll(runners.All.Select(r => StopInOrderAsync(r.Instance.Resource))).ConfigureAwait(false);
        // Last, so that what the others send while they end still arrives.
        await telemetry.DisposeAsync().ConfigureAwait(false);
        services.Notifications.Complete(null);
        if (runners.All.Count > 0)
            services.Log.Say("all stopped");
        _state?.Dispose();
        _state = null;

        // Those that wait for a resource end before it does.
        Task StopInOrderAsync(IResource resource)
        {
            if (stops.TryGetValue(resource, out var known))
                return known;
            var dependents = resources.Where(r => r.Annotations.OfType<WaitAnnotation>().Any(w => w.Resource == resource)).ToArray();
            var before = dependents.Select(StopInOrderAsync).ToArray();
            return stops[resource] = StopOneAsync(resource, before);
        }

        async Task StopOneAsync(IResource resource, Task[] before)
        {
            await Task.WhenAll(before).ConfigureAwait(false);
            await Task.WhenAll(runners.Of(resource).Select(r => r.StopAsync(_killNow.Token))).ConfigureAwait(false);
        }
    }

    private Runner Create(ResourceInstance instance) => LaunchPlan.IsProcess(instance.Resource)
        ? new ProcessRunner(instance, IsJob(instance.Resource), services)
        : new PassiveRunner(instance, services);

    // It ends when its work is done, and is not started again: somebody waits for that, or a person has started it.
    private bool IsJob(IResource resource) => resource.TryGetLastAnnotation<ExplicitStartupAnnotation>(out _)
        || resources.SelectMany(r => r.Annotations.OfType<WaitAnnotation>())
            .Any(w => w.Resource == resource && w.WaitType == WaitType.WaitForCompletion);

    private void CheckPrograms()
    {
        foreach (var resource in resources.Where(LaunchPlan.IsProcess))
        {
            // Another resource may make the program, or a person may while the rest runs.
            var isMadeLater = resource.TryGetLastAnnotation<ExplicitStartupAnnotation>(out _)
                || resource.Annotations.OfType<WaitAnnotation>().Any(w => w.WaitType == WaitType.WaitForCompletion);
            if (!isMadeLater && LaunchPlan.Missing(resource) is { } missing)
                throw new DistributedApplicationException(missing);
        }
    }

    private string StatePath() => configuration["LocalHosting:StateDirectory"] is { Length: > 0 } path
        ? Path.GetFullPath(path)
        : Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify),
            "LocalHosting",
            environment.ApplicationName);

    // The host stops in order at the first Ctrl-C; a second one means: now.
    private PosixSignalRegistration WatchForImpatience()
    {
        long first = 0;
        return PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            var now = services.Time.GetTimestamp();
            if (Interlocked.CompareExchange(ref first, now, 0) is not 0 and var since && services.Time.GetElapsedTime(since, now) > s_oneKeyPress)
                _killNow.Cancel();
        });
    }

    // The terminal is closed: the programs would outlive it, since they do not belong to it.
    private PosixSignalRegistration WatchForHangUp() => PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
    {
        context.Cancel = true;
        lifetime.StopApplication();
    });

    // Programs replace themselves while they start (a launcher, a shell that executes the real one): look again when that is over.
    private static async Task RefreshRecordsAsync(ProcessRecords records)
    {
        await Task.Delay(TimeSpan.FromSeconds(2)).ConfigureAwait(false);
        records.Refresh();
    }
}
