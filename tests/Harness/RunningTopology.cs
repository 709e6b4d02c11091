using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Hybrid.AppHost.Running;

namespace Hybrid.Tests.Harness;

/// <summary>The whole topology, started by AppHost's own entry point on free ports and a state folder that is removed at the end.</summary>
public class RunningTopology : RunningSystem
{
    private readonly StateDirectory state = new();

    public DistributedApplication App { get; private set; } = null!;

    /// <summary>Receives what every service sends over OTLP, unless there is a dashboard.</summary>
    public OtlpSink Telemetry { get; } = new();

    /// <summary>What the host says of itself in <c>endpoints.json</c>.</summary>
    public JsonNode Endpoints { get; private set; } = null!;

    /// <summary>Whether Aspire's dashboard is a part of the topology; it then receives the telemetry.</summary>
    protected virtual bool HasDashboard => false;

    private readonly ConcurrentDictionary<string, int> crashes = new();
    private readonly ConcurrentDictionary<string, int> expectedCrashes = new();
    private readonly CancellationTokenSource watching = new();

    /// <summary>Announces that the test is about to crash a resource. Every other restart fails the run.</summary>
    public void ExpectCrash(string resource) => expectedCrashes.AddOrUpdate(resource, 1, (_, n) => n + 1);

    /// <summary>Waits until a node has applied a version of the catalog.</summary>
    public Task AppliedAsync(string node, long version) => Eventually.HoldsAsync(
        $"{node} to have applied version {version}",
        async () => (await Fleet.ListNodesAsync(new())).Nodes,
        nodes => nodes.Any(n => n.NodeId == node && n.Connected && n.AppliedVersion >= version),
        retryOn: Eventually.IsNotYet);

    /// <summary>The folder in which a resource keeps its own files.</summary>
    public string StateFolderOf(string resource) => Path.Combine(state.Path, resource);

    public override Task<IReadOnlyList<string>> LogTailAsync(string resource, int lines) => ResourceOutput.TailAsync(App, resource, lines);

    protected override async Task<SystemAddresses> StartAsync()
    {
        await Telemetry.StartAsync();
        App = await TopologyStart.StartAsync(state.Path, HasDashboard ? null : Telemetry.Endpoint, HasDashboard);
        _ = CountCrashesAsync();
        Endpoints = await TopologyStart.EndpointsAsync(state.Path);
        return new SystemAddresses(
            App.GetEndpoint("control-plane", "http"),
            App.GetEndpoint("control-plane", "grpc"),
            [.. ((string[])["data-plane-1", "data-plane-2"]).Select(node => (node, App.GetEndpoint(node, "http"), App.GetEndpoint(node, "grpc")))],
            (await App.GetConnectionStringAsync("hybriddb"))!,
            (await App.GetConnectionStringAsync("kafka"))!,
            (bool?)Endpoints["kafkaIsStandIn"] ?? throw new InvalidOperationException("endpoints.json does not say whether Kafka is the stand-in."));
    }

    protected override async Task StopAsync()
    {
        await watching.CancelAsync();
        if (App is not null)
            await App.DisposeAsync();
        await Telemetry.DisposeAsync();
        state.Dispose();
        watching.Dispose();
        Assert.Equivalent(expectedCrashes, crashes);
    }

    private async Task CountCrashesAsync()
    {
        try
        {
            var last = new Dictionary<string, string?>();
            await foreach (var change in App.ResourceNotifications.WatchAsync(watching.Token))
            {
                var state = change.Snapshot.State?.Text;
                if (state?.StartsWith(RestartOnCrash.CrashedState, StringComparison.Ordinal) == true && last.GetValueOrDefault(change.Resource.Name) != state)
                    crashes.AddOrUpdate(change.Resource.Name, 1, (_, n) => n + 1);
                last[change.Resource.Name] = state;
            }
        }
        catch (OperationCanceledException)
        {
        }
    }
}
