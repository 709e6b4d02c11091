using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json.Nodes;
using Hybrid.AppHost.Running;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.Tests.Harness;

/// <summary>The whole topology, started by AppHost's own entry point on free ports and a state folder that is removed at the end.</summary>
public class RunningTopology : RunningSystem
{
    private const int LogLines = 30;

    /// <summary>A first start builds both planes.</summary>
    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(10);

    /// <summary>The longest command measures for two minutes. One that waits for what does not come back must not hold up all tests.</summary>
    private static readonly TimeSpan CommandPatience = TimeSpan.FromMinutes(5);

    private readonly StateDirectory state = new();
    private readonly ConcurrentQueue<string> crashes = new();
    private readonly ConcurrentQueue<string> expectedCrashes = new();
    private readonly CancellationTokenSource watching = new();

    public static IReadOnlyList<string> Services { get; } = ["control-plane", "data-plane-1", "data-plane-2", "metering"];
    public static IReadOnlyList<string> Servers { get; } = ["postgres", "kafka"];

    public DistributedApplication App { get; private set; } = null!;

    /// <summary>Receives what every service sends over OTLP, unless there is a dashboard.</summary>
    public OtlpSink Telemetry { get; } = new();

    /// <summary>What the host says of itself in <c>endpoints.json</c>, which it writes when everything is healthy.</summary>
    public JsonNode Endpoints { get; private set; } = null!;

    /// <summary>Whether Aspire's dashboard is a part of the topology, as in an ordinary start; it then receives the telemetry.</summary>
    protected virtual bool HasDashboard => false;

    /// <summary>The folder in which a resource keeps its own files.</summary>
    public string StateFolderOf(string resource) => Path.Combine(state.Path, resource);

    /// <summary>Process id of a running resource; null while it has none.</summary>
    public int? ProcessOf(string resource) =>
        App.ResourceNotifications.TryGetCurrentState(resource, out var current) && current.Snapshot.State?.Text == KnownResourceStates.Running
        && int.TryParse(current.Snapshot.Properties.FirstOrDefault(p => p.Name == "executable.pid")?.Value?.ToString(), CultureInfo.InvariantCulture, out var id)
            ? id
            : null;

    /// <summary>How the dashboard shows a resource; null before it has been asked.</summary>
    public HealthStatus? HealthOf(string resource) =>
        App.ResourceNotifications.TryGetCurrentState(resource, out var current) ? current.Snapshot.HealthStatus : null;

    /// <summary>Runs a command of the resource, as a person does in the dashboard.</summary>
    /// <returns>The message that the dashboard shows.</returns>
    public async Task<string> CommandAsync(string resource, string command, params (string Name, string Value)[] arguments)
    {
        var inputs = arguments.Select(a => new InteractionInput { Name = a.Name, Value = a.Value, InputType = InputType.Text });
        var result = await App.Services.GetRequiredService<ResourceCommandService>()
            .ExecuteCommandAsync(resource, command, new InteractionInputCollection([.. inputs]), TestContext.Current.CancellationToken)
            .WaitAsync(CommandPatience, TestContext.Current.CancellationToken);
        Assert.True(result.Success, $"{command} of {resource} failed: {result.Message}");
        return result.Message ?? "";
    }

    /// <summary>Kills it as <c>kill -9</c> does, and waits until another process is healthy in its place.</summary>
    public Task KillAsync(string resource)
    {
        ExpectCrash(resource);
        return ReplacedAsync(resource, () => CommandAsync(resource, "kill"));
    }

    /// <summary>Waits until the process that an action ends has another in its place, which is healthy.</summary>
    public async Task ReplacedAsync(string resource, Func<Task> action)
    {
        var before = ProcessOf(resource);
        Assert.NotNull(before);
        await action();
        await Eventually.BecomesAsync($"{resource} to have a new process", () => ProcessOf(resource), id => id is not null && id != before);
        await HealthyAsync(resource);
    }

    /// <summary>Announces that the test is about to crash a resource. Every other crash fails the run.</summary>
    public void ExpectCrash(string resource) => expectedCrashes.Enqueue(resource);

    /// <summary>Waits until the resource is healthy, even if it is stopped or crashed now.</summary>
    public Task HealthyAsync(string resource) =>
        App.ResourceNotifications.WaitForResourceHealthyAsync(resource, WaitBehavior.WaitOnResourceUnavailable, TestContext.Current.CancellationToken)
            .WaitAsync(Eventually.Patience);

    public override async Task<IReadOnlyList<string>> LogTailAsync(string resource, int lines)
    {
        var all = new List<string>();
        // By the resource, not by its name: logs are kept under the name that the orchestrator gives each instance.
        var model = App.Services.GetRequiredService<DistributedApplicationModel>().Resources.Single(r => r.Name == resource);
        await foreach (var batch in App.Services.GetRequiredService<ResourceLoggerService>().GetAllAsync(model))
            all.AddRange(batch.Select(line => line.Content));
        return [.. all.TakeLast(lines)];
    }

    /// <summary>Changes the topology before it is started.</summary>
    protected virtual void Arrange(IDistributedApplicationBuilder builder)
    {
    }

    protected override async Task<SystemAddresses> StartAsync()
    {
        await Telemetry.StartAsync();
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(StartPatience);
        // Native servers, also beside a container engine: the tests kill and pause processes. CI runs the topology on containers by --check.
        // The testing builder gives each endpoint another port than the one asked for; --random-ports has already chosen free ones.
        List<string> arguments = ["--random-ports", "--infrastructure", "native", "--state", state.Path, "DcpPublisher:RandomizePorts=false"];
        if (!HasDashboard)
            arguments.Add($"ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL={Telemetry.Endpoint}");
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(
            [.. arguments], (options, _) => options.DisableDashboard = !HasDashboard, deadline.Token);
        Arrange(builder);
        App = await builder.BuildAsync(deadline.Token);
        try
        {
            await App.StartAsync(deadline.Token);
            foreach (var service in Services)
                await App.ResourceNotifications.WaitForResourceHealthyAsync(service, WaitBehavior.WaitOnResourceUnavailable, deadline.Token);
        }
        catch (Exception e)
        {
            var logs = new List<string>();
            foreach (var resource in Services.Concat(Servers))
                logs.Add($"--- {resource}, last lines\n{string.Join('\n', await LogTailAsync(resource, LogLines))}");
            await App.DisposeAsync();
            state.Dispose();
            throw new InvalidOperationException($"The topology did not become healthy: {e.Message}\n{string.Join('\n', logs)}", e);
        }
        _ = NoteCrashesAsync();

        var file = Path.Combine(state.Path, "endpoints.json");
        await Eventually.BecomesAsync("endpoints.json", () => File.Exists(file), there => there);
        Endpoints = JsonNode.Parse(await File.ReadAllTextAsync(file))!;
        return SystemAddresses.Of(Endpoints);
    }

    protected override async Task StopAsync()
    {
        await watching.CancelAsync();
        if (App is not null)
            await App.DisposeAsync();
        await Telemetry.DisposeAsync();
        state.Dispose();
        watching.Dispose();
        var unexpected = crashes.ToList();
        Assert.All(expectedCrashes, resource => Assert.True(unexpected.Remove(resource), $"{resource} has not crashed."));
        // Metering may end with a broker that dies inside a transaction: see docs/adr/0007.
        if (expectedCrashes.Contains("kafka"))
            unexpected.RemoveAll(resource => resource == "metering");
        Assert.Empty(unexpected);
    }

    private async Task NoteCrashesAsync()
    {
        try
        {
            var last = new Dictionary<string, string?>();
            await foreach (var change in App.ResourceNotifications.WatchAsync(watching.Token))
            {
                var text = change.Snapshot.State?.Text;
                var isNews = last.GetValueOrDefault(change.Resource.Name) != text;
                // A child, as the database is of its server, shows the state of its parent.
                if (isNews && text?.StartsWith(RestartOnCrash.CrashedState, StringComparison.Ordinal) == true && change.Resource is not IResourceWithParent)
                    crashes.Enqueue(change.Resource.Name);
                last[change.Resource.Name] = text;
            }
        }
        catch (OperationCanceledException)
        {
        }
    }
}
