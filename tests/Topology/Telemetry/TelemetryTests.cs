using System.Net.Http.Json;
using System.Text;
using Hybrid.Usage.V1;
using OpenTelemetry.Proto.Trace.V1;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>Traces cross every hop, and log records belong to them.</summary>
[Collection(SharedTopology.Name)]
public sealed class TelemetryTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private OtlpSink Sink => Topology.Telemetry;

    [Fact]
    public async Task A_write_is_traced_from_HTTP_through_Go_to_Postgres()
    {
        var caller = new TracedRequest();
        using var request = caller.Http(
            HttpMethod.Post, new Uri(Topology.ControlPlaneHttp, "/v1/items"),
            JsonContent.Create(new { sku = UniqueName("traced"), name = "Traced", unitPrice = new { currencyCode = "EUR", minorUnits = 1 } }));
        using var response = await Topology.Http.SendAsync(request, Cancellation);
        response.EnsureSuccessStatusCode();

        var trace = await Eventually.HoldsAsync(
            "the spans of the write", () => Task.FromResult(Sink.Trace(caller.TraceId)), spans => spans.Any(IsServer) && spans.Any(IsDatabase));
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
        var caller = new TracedRequest();
        await Topology.Nodes[0].Pricing.QuoteAsync(Basket((item.Sku, 1)), caller.Metadata, cancellationToken: Cancellation);

        await Eventually.HoldsAsync(
            "the span of the quote", () => Task.FromResult(Sink.Trace(caller.TraceId)), spans => spans.Any(s => IsServer(s) && s.Service == "data-plane-1"));
        // Many quotes join in one batch, so the batch is linked to the quote's trace and is not a part of it.
        var batch = await FirstAsync("metering's batch", s => s.Service == "metering" && s.Signal.Links.Any(link => link.TraceIdText() == caller.TraceId));
        var batchTrace = batch.Signal.TraceIdText();
        var booking = await FirstAsync(
            "the booking", s => s.Signal.TraceIdText() == batchTrace && s.Service == "control-plane" && s.Signal.Kind == Span.Types.SpanKind.Consumer);
        var trace = await Eventually.HoldsAsync(
            "the booking's statements", () => Task.FromResult(Sink.Trace(batchTrace)), spans => spans.DescendantsOf(booking.Signal).Any(IsDatabase));
        Assert.Contains(trace.DescendantsOf(batch.Signal), s => s.Signal.SpanId == booking.Signal.SpanId);
    }

    [Fact]
    public async Task The_state_of_a_trace_travels_from_the_quote_to_the_booking()
    {
        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        await Topology.AppliedAsync(Topology.Nodes[0].Name, rule.Version);
        // A batch has a state only where all its quotes have that one.
        await Settlement.WaitAsync(Topology);
        var caller = new TracedRequest("shop=checkout-7,other=1");
        await Topology.Nodes[0].Pricing.QuoteAsync(Basket((item.Sku, 1)), caller.Metadata, cancellationToken: Cancellation);

        var quote = await FirstAsync("the span of the quote", s => IsServer(s) && s.Signal.TraceIdText() == caller.TraceId);
        Assert.Equal(caller.State, quote.Signal.TraceState);
        var sent = await FirstAsync("the span of its event", s => s.Signal.Kind == Span.Types.SpanKind.Producer && s.Signal.TraceIdText() == caller.TraceId);
        Assert.Equal(caller.State, sent.Signal.TraceState);
        var batch = await FirstAsync("metering's batch", s => s.Service == "metering" && s.Signal.Links.Any(link => link.TraceIdText() == caller.TraceId));
        Assert.Equal(caller.State, batch.Signal.Links.First(link => link.TraceIdText() == caller.TraceId).TraceState);
        var booking = await FirstAsync(
            "the booking", s => s.Service == "control-plane" && s.Signal.Kind == Span.Types.SpanKind.Consumer && s.Signal.TraceIdText() == batch.Signal.TraceIdText());
        Assert.Equal(caller.State, booking.Signal.TraceState);

        var records = await Task.Run(() => EventReader.ReadAll(Topology.KafkaBootstrap, "hybrid.usage.v1"));
        var usage = Assert.Single(records.Messages(UsageWindow.Parser), r => r.Message.Jurisdiction == Jurisdiction);
        Assert.Equal(caller.State, usage.Record.Headers["tracestate"]);
        Assert.Contains(batch.Signal.TraceIdText(), usage.Record.Headers["traceparent"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("hybrid.quotes.v1", "metering", "a record goes to the dead letters")]
    [InlineData("hybrid.usage.v1", "control-plane", "a usage record cannot be read; it was published as a dead letter")]
    public async Task A_dead_letter_and_its_log_record_belong_to_the_trace_of_the_record(string topic, string service, string body)
    {
        var caller = new TracedRequest("shop=poison");
        var poison = Encoding.UTF8.GetBytes("traced poison " + Guid.NewGuid());
        await EventWriter.ProduceAsync(Topology.KafkaBootstrap, topic, 0, poison, caller.Headers);

        var record = await Eventually.HoldsAsync(
            "the log record", () => Task.FromResult(Sink.LogRecords.FirstOrDefault(r => r.Signal.TraceIdText() == caller.TraceId)!), r => r is not null);
        Assert.Equal(service, record.Service);
        Assert.Equal(body, record.Signal.Body.StringValue);
        Assert.Equal(8, record.Signal.SpanId.Length);

        var dead = await Eventually.HoldsAsync(
            "the dead letter",
            () => Task.Run(() => EventReader.ReadAll(Topology.KafkaBootstrap, topic + ".dead-letter").FirstOrDefault(r => r.Value?.AsSpan().SequenceEqual(poison) == true)!),
            r => r is not null,
            retryOn: e => e is InvalidOperationException);
        Assert.Equal(caller.TraceParent, dead.Headers["traceparent"]);
        Assert.Equal(caller.State, dead.Headers["tracestate"]);
    }

    private Task<Received<Span>> FirstAsync(string what, Func<Received<Span>, bool> fits) =>
        Eventually.HoldsAsync(what, () => Task.FromResult(Sink.Spans.FirstOrDefault(fits)!), span => span is not null);

    private static bool IsServer(Received<Span> span) => span.Signal.Kind == Span.Types.SpanKind.Server;

    private static bool IsDatabase(Received<Span> span) => span.Signal.Attributes.Text("db.system.name") is not "" || span.Signal.Attributes.Text("db.system") is not "";
}
