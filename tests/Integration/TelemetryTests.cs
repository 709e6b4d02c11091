using System.Net.Http.Json;
using Grpc.Core;
using Hybrid.Telemetry.Model;
using Hybrid.Telemetry.Store;

namespace Hybrid.Tests.Integration;

/// <summary>Traces cross every hop, and every service emits what it must.</summary>
public sealed class TelemetryTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private TelemetryStore Store => HostTelemetry.Of(Topology.App);

    /// <summary>Which signals each service must emit: one span kind it serves, one metric, and logs.</summary>
    public static TheoryData<string> Services => ["control-plane", "data-plane-1", "data-plane-2", "metering"];

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

        var trace = await Store.WaitForAsync(
            store => store.FindTrace(traceId) is { } t && t.Spans.Any(IsDatabase) && t.Spans.Any(IsServer) ? t : null, Patience, Cancellation);
        var server = trace.Spans.Where(IsServer).OrderBy(s => s.Start).First();
        Assert.Equal("control-plane", server.Source.ServiceName);
        Assert.Contains(trace.DescendantsOf(server), IsDatabase);
    }

    [Fact]
    public async Task A_quote_is_traced_through_Kafka_into_the_ledger()
    {
        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        await WaitForVersionAsync(Topology.Nodes[0], Basket((item.Sku, 1)), rule.Version);
        var (traceId, traceparent) = NewTrace();
        await Topology.Nodes[0].Pricing.QuoteAsync(Basket((item.Sku, 1)), new Metadata { { "traceparent", traceparent } }, cancellationToken: Cancellation);

        var quote = await Store.WaitForAsync(
            store => store.FindTrace(traceId)?.Spans.FirstOrDefault(s => IsServer(s) && s.Source.ServiceName == "data-plane-1"), Patience, Cancellation);
        // Many quotes join in one batch, so the batch is linked to the quote's trace and is not a part of it.
        var batch = await Store.WaitForAsync(
            store => store.SpansOf("metering").FirstOrDefault(s => s.Links.Any(l => l.TraceId == traceId)), Patience, Cancellation);
        Assert.Contains(batch.Links, l => l.TraceId == quote.TraceId);
        var booking = await Store.WaitForAsync(
            store => store.FindTrace(batch.TraceId)?.Spans.FirstOrDefault(s => s.Source.ServiceName == "control-plane" && s.Kind == SpanKind.Consumer), Patience,
            Cancellation);
        var batchTrace = await Store.WaitForAsync(
            store => store.FindTrace(batch.TraceId) is { } t && t.DescendantsOf(booking).Any(IsDatabase) ? t : null, Patience, Cancellation);
        Assert.Contains(batchTrace.DescendantsOf(batch), s => s.SpanId == booking.SpanId);
    }

    [Theory]
    [MemberData(nameof(Services))]
    public async Task Every_service_emits_metrics_and_logs(string service)
    {
        await Store.WaitForAsync(store => store.Metrics().Any(m => m.Identity.Source.ServiceName == service), Patience, Cancellation);
        await Store.WaitForAsync(store => store.LogsOf(service).Any(), Patience, Cancellation);
    }

    [Fact]
    public async Task Quotes_are_counted_by_method_in_an_exponential_histogram()
    {
        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        await WaitForVersionAsync(Topology.Nodes[0], Basket((item.Sku, 1)), rule.Version);
        await Store.WaitForAsync(
            store => store.Metrics("rpc.server.duration", "data-plane-1").Concat(store.Metrics("rpc.server.call.duration", "data-plane-1"))
                .Any(m => m.Latest is ExponentialHistogramPoint { Count: > 0 }),
            Patience, Cancellation);
    }

    private static (string TraceId, string Traceparent) NewTrace()
    {
        var traceId = Guid.NewGuid().ToString("N");
        return (traceId, $"00-{traceId}-{Guid.NewGuid().ToString("N")[..16]}-01");
    }

    private static bool IsServer(SpanRecord span) => span.Kind == SpanKind.Server;

    private static bool IsDatabase(SpanRecord span) => span.Attributes.ContainsKey("db.system.name") || span.Attributes.ContainsKey("db.system");
}
