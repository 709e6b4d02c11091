using Grpc.Net.Client;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>Programs that are started without the host, with no other setting of telemetry than the endpoint, are told apart.</summary>
[Collection(SharedTopology.Name)]
public sealed class InstanceTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    [Fact]
    public async Task Instances_that_are_started_by_hand_are_told_apart()
    {
        await SetUp.BuildRustAsync(Output);
        await using var sink = new OtlpSink();
        await sink.StartAsync();
        using var state = new StateDirectory();
        var item = await CreateItemAsync(100);
        await CreateTaxRuleAsync(0);
        string[] nodes = [UniqueName("hand-1"), UniqueName("hand-2")];

        await using var controlPlane = await StartAsync(Programs.Go("control-plane"), sink, new()
        {
            ["ConnectionStrings__hybriddb"] = (await Topology.App.GetConnectionStringAsync("hybriddb", Cancellation))!,
        });
        await using var first = await StartDataPlaneAsync(nodes[0], controlPlane, sink, state);
        await using var second = await StartDataPlaneAsync(nodes[1], controlPlane, sink, state);
        using (var channel = GrpcChannel.ForAddress(controlPlane.Grpc))
            await new CatalogService.CatalogServiceClient(channel).GetItemAsync(new() { Sku = item.Sku }, new TracedRequest().Metadata, cancellationToken: Cancellation);
        foreach (var node in (StartedProgram[])[first, second])
        {
            using var channel = GrpcChannel.ForAddress(node.Grpc);
            var pricing = new PricingService.PricingServiceClient(channel);
            await Eventually.AnswersAsync(
                "a quote", async () => await pricing.QuoteAsync(Basket((item.Sku, 1)), new TracedRequest().Metadata, cancellationToken: Cancellation));
        }
        // What has not been sent yet is sent before the end.
        foreach (var program in (StartedProgram[])[first, second, controlPlane])
            await program.StopAsync();

        var spans = Senders(sink.Spans);
        Assert.Equal(nodes, spans.Where(s => s.Service == "data-plane").Select(s => s.Instance).Order(StringComparer.Ordinal));
        Assert.Single(spans, s => s.Service == "control-plane");
        Assert.Equal(3, spans.Count);
        Assert.Equal(spans, Senders(sink.MetricPoints));
        Assert.Equal(spans, Senders(sink.LogRecords));
    }

    private Task<StartedProgram> StartDataPlaneAsync(string node, StartedProgram controlPlane, OtlpSink sink, StateDirectory state) =>
        StartAsync(Programs.Rust("data-plane"), sink, new()
        {
            ["NODE_ID"] = node,
            ["STATE_DIR"] = Path.Combine(state.Path, node),
            ["CONTROL_PLANE_GRPC"] = controlPlane.Grpc.ToString().TrimEnd('/'),
        });

    private Task<StartedProgram> StartAsync(string program, OtlpSink sink, Dictionary<string, string> environment)
    {
        environment["ConnectionStrings__kafka"] = Topology.KafkaBootstrap;
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink.Endpoint.ToString();
        return StartedProgram.StartAsync(program, environment, Topology.Http);
    }

    private static List<(string Service, string Instance)> Senders<T>(IEnumerable<Received<T>> received) =>
        [.. received.Select(r => (r.Service, r.Instance)).Distinct().OrderBy(s => s.Service, StringComparer.Ordinal).ThenBy(s => s.Instance, StringComparer.Ordinal)];
}
