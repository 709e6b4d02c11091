namespace Hybrid.Tests.Harness;

/// <summary>The whole topology, started by AppHost's own entry point on free ports and a state folder that is removed at the end.</summary>
public sealed class RunningTopology : RunningSystem
{
    private readonly StateDirectory state = new();

    public DistributedApplication App { get; private set; } = null!;

    /// <summary>Receives what every service sends over OTLP.</summary>
    public OtlpSink Telemetry { get; } = new();

    /// <summary>The folder in which a resource keeps its own files.</summary>
    public string StateFolderOf(string resource) => Path.Combine(state.Path, resource);

    public override Task<IReadOnlyList<string>> LogTailAsync(string resource, int lines) => ResourceOutput.TailAsync(App, resource, lines);

    protected override async Task<SystemAddresses> StartAsync()
    {
        await Telemetry.StartAsync();
        App = await TopologyStart.StartAsync(state.Path, Telemetry.Endpoint);
        return new SystemAddresses(
            App.GetEndpoint("control-plane", "http"),
            App.GetEndpoint("control-plane", "grpc"),
            [.. ((string[])["data-plane-1", "data-plane-2"]).Select(node => (node, App.GetEndpoint(node, "http"), App.GetEndpoint(node, "grpc")))],
            (await App.GetConnectionStringAsync("hybriddb"))!,
            (await App.GetConnectionStringAsync("kafka"))!,
            KafkaIsStandIn: await TopologyStart.KafkaIsStandInAsync(state.Path));
    }

    protected override async Task StopAsync()
    {
        if (App is not null)
            await App.DisposeAsync();
        await Telemetry.DisposeAsync();
        state.Dispose();
    }
}
