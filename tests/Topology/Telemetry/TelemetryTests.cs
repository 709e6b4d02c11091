using System.Net.Http.Json;
using Grpc.Core;
using OpenTelemetry.Proto.Trace.V1;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>Traces cross every hop.</summary>
[Collection(SharedTopology.Name)]
public sealed class TelemetryTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private OtlpSink Sink => Topology.Telemetry;

    [Fact]
    public async Task A_write_is_traced_from_HTTP_through_Go_to_Postgres()
    {
        var (traceId, traceparent) = NewTrace();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(Topology.ControlPlaneHttp, "/v1/items"))
        {
            Content = JsonContent.Create(new { sku = UniqueName("traced"), name = "Traced", unitPrice = new { currencyCode = "EUR", minorUnits = 1 } }),
        };
        request.Headers.Add("traceparent", traceparent);
        using var response = await Topology.Http.SendAsync(request, Cancellation);
        response.EnsureSuccessStatusCode();

        var trace = await Eventually.HoldsAsync(
            "the spans of the write", () => Task.FromResult(Sink.Trace(traceId)), spans => spans.Any(IsServer) && spans.Any(IsDatabase));
        var server = trace.Where(IsServer).OrderBy(s => s.Signal.StartTimeUnixNano).First();
        Assert.Equal("control-plane", server.Service);
        Assert.Contains(trace.DescendantsOf(server.Signal), IsDatabase);
    }

    [Fact]
    public async Task A_quote_is_traced_through_Kafka_into_the_ledger()
    {
        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        await WaitForVersionAsync(Topology.Nodes[0], Basket((item.Sku, 1)), rule.Version);
        var (traceId, traceparent) = NewTrace();
        await Topology.Nodes[0].Pricing.QuoteAsync(Basket((item.Sku, 1)), new Metadata { { "traceparent", traceparent } }, cancellationToken: Cancellation);

        await Eventually.HoldsAsync(
            "the span of the quote", () => Task.FromResult(Sink.Trace(traceId)), spans => spans.Any(s => IsServer(s) && s.Service == "data-plane-1"));
        // Many quotes join in one batch, so the batch is linked to the quote's trace and is not a part of it.
        var batch = await FirstAsync("metering's batch", s => s.Service == "metering" && s.Signal.Links.Any(link => Convert.ToHexStringLower(link.TraceId.Span) == traceId));
        var batchTrace = batch.Signal.TraceIdText();
        var booking = await FirstAsync(
            "the booking", s => s.Signal.TraceIdText() == batchTrace && s.Service == "control-plane" && s.Signal.Kind == Span.Types.SpanKind.Consumer);
        var trace = await Eventually.HoldsAsync(
            "the booking's statements", () => Task.FromResult(Sink.Trace(batchTrace)), spans => spans.DescendantsOf(booking.Signal).Any(IsDatabase));
        Assert.Contains(trace.DescendantsOf(batch.Signal), s => s.Signal.SpanId == booking.Signal.SpanId);
    }

    private Task<Received<Span>> FirstAsync(string what, Func<Received<Span>, bool> fits) =>
        Eventually.HoldsAsync(what, () => Task.FromResult(Sink.Spans.FirstOrDefault(fits)!), span => span is not null);

    private static (string TraceId, string Traceparent) NewTrace()
    {
        var traceId = Guid.NewGuid().ToString("N");
        return (traceId, $"00-{traceId}-{Guid.NewGuid().ToString("N")[..16]}-01");
    }

    private static bool IsServer(Received<Span> span) => span.Signal.Kind == Span.Types.SpanKind.Server;

    private static bool IsDatabase(Received<Span> span) => span.Signal.Attributes.Text("db.system.name") is not "" || span.Signal.Attributes.Text("db.system") is not "";
}
