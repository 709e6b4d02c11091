using System.Net;
using System.Net.Http.Json;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>What Aspire's dashboard has received can be asked for by its API.</summary>
[Collection(SharedDashboard.Name)]
public sealed class DashboardApiTests(DashboardTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private TelemetryApi Api => topology.Api;

    [Fact]
    public async Task A_write_is_one_trace_from_HTTP_through_Go_to_Postgres()
    {
        var caller = new TracedRequest();
        using var request = caller.Http(
            HttpMethod.Post, new Uri(Topology.ControlPlaneHttp, "/v1/items"),
            JsonContent.Create(new { sku = UniqueName("shown"), name = "Shown", unitPrice = new { currencyCode = "EUR", minorUnits = 1 } }));
        using var response = await Topology.Http.SendAsync(request, Cancellation);
        response.EnsureSuccessStatusCode();

        var spans = await SpansOfAsync(
            caller.TraceId, "the write", trace => trace.Any(s => s.Kind == ShownSpan.Server) && trace.Any(s => s.Kind == ShownSpan.Client));
        var server = Assert.Single(spans, s => s.Kind == ShownSpan.Server);
        Assert.Equal(("control-plane", "POST /v1/items"), (server.Resource, server.Name));
        Assert.All(spans.Where(s => s.Kind == ShownSpan.Client), s => Assert.True(IsBelow(s, server, spans), $"{s.Name} is not below the request."));

        var traces = await Api.TracesAsync("?resource=control-plane");
        Assert.Contains(traces, s => s.TraceId == caller.TraceId && s.SpanId == server.SpanId);
    }

    [Fact]
    public async Task A_quote_is_traced_through_Kafka_and_metering_and_Kafka_into_the_ledger()
    {
        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        var node = Topology.Nodes[1];
        await Topology.AppliedAsync(node.Name, rule.Version);
        var caller = new TracedRequest();
        await node.Pricing.QuoteAsync(Basket((item.Sku, 1)), caller.Metadata, cancellationToken: Cancellation);

        var quote = await SpansOfAsync(caller.TraceId, "the quote", trace => trace.Any(s => s.Kind == ShownSpan.Producer));
        Assert.All(quote, s => Assert.Equal(node.Name, s.Resource));
        var batch = await Eventually.HoldsAsync(
            "metering's batch", async () => (await Api.SpansAsync("?resource=metering")).FirstOrDefault(s => s.Links.Contains(caller.TraceId))!, s => s is not null);
        var booking = await SpansOfAsync(
            batch.TraceId, "the booking",
            trace => trace.Any(s => s is { Resource: "control-plane", Kind: ShownSpan.Consumer }) && trace.Any(s => s is { Resource: "control-plane", Kind: ShownSpan.Client }));
        var consumer = booking.First(s => s is { Resource: "control-plane", Kind: ShownSpan.Consumer });
        Assert.True(IsBelow(consumer, batch, booking));
        Assert.Contains(booking, s => s.Kind == ShownSpan.Client && IsBelow(s, consumer, booking));
    }

    [Fact]
    public async Task Every_service_is_there_with_its_log_records()
    {
        var resources = await Eventually.HoldsAsync(
            "telemetry of every service", Api.ResourcesAsync, names => TopologyStart.Services.All(names.Contains));
        Output.WriteLine(string.Join(", ", resources));
        foreach (var service in TopologyStart.Services)
        {
            var logs = await Eventually.HoldsAsync($"log records of {service}", () => Api.LogsAsync($"?resource={service}"), records => records.Count > 0);
            Assert.All(logs, record => Assert.Equal(service, record.Resource));
            Assert.All(logs, record => Assert.NotEmpty(record.Body));
        }
    }

    [Fact]
    public async Task Only_who_has_the_key_is_answered()
    {
        Assert.Equal(HttpStatusCode.Unauthorized, await Api.StatusWithKeyAsync(null));
        Assert.Equal(HttpStatusCode.Unauthorized, await Api.StatusWithKeyAsync("another"));
    }

    private Task<IReadOnlyList<ShownSpan>> SpansOfAsync(string traceId, string what, Func<IReadOnlyList<ShownSpan>, bool> isComplete) =>
        Eventually.HoldsAsync($"the spans of {what}", () => Api.SpansAsync($"?traceId={traceId}"), isComplete);

    private static bool IsBelow(ShownSpan span, ShownSpan ancestor, IReadOnlyList<ShownSpan> trace) =>
        trace.FirstOrDefault(s => s.SpanId == span.ParentId) is { } parent && (parent.SpanId == ancestor.SpanId || IsBelow(parent, ancestor, trace));
}
