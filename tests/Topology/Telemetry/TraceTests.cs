using Hybrid.Usage.V1;
using OpenTelemetry.Proto.Trace.V1;
using static OpenTelemetry.Proto.Trace.V1.Span.Types.SpanKind;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>A trace crosses every hop.</summary>
public sealed class TraceTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    [Fact]
    public async Task A_quote_and_the_state_of_its_trace_are_followed_through_Kafka_into_the_ledger()
    {
        var basket = await StockAsync(100);
        // A batch has a state only where all its quotes have that one.
        await Settlement.WaitAsync(Topology);
        var caller = new TracedRequest("shop=checkout-7,other=1");
        await Topology.Nodes[0].Pricing.QuoteAsync(basket, caller.Metadata, cancellationToken: Cancellation);

        var quote = await FindAsync("the span of the quote", s => s.Signal.Kind == Server && s.Signal.TraceId.Hex() == caller.TraceId);
        Assert.Equal((Topology.Nodes[0].Name, caller.State), (quote.Service, quote.Signal.TraceState));
        var sent = await FindAsync("the span of its event", s => s.Signal.Kind == Producer && s.Signal.TraceId.Hex() == caller.TraceId);
        Assert.Equal(caller.State, sent.Signal.TraceState);
        // Many quotes join in one batch, so the batch is linked to the quote's trace and is not a part of it.
        var batch = await FindAsync("metering's batch", s => s.Service == "metering" && s.Signal.Links.Any(link => link.TraceId.Hex() == caller.TraceId));
        Assert.Equal(caller.State, batch.Signal.Links.First(link => link.TraceId.Hex() == caller.TraceId).TraceState);
        var trace = batch.Signal.TraceId.Hex();
        var booking = await FindAsync("the booking", s => s.Service == "control-plane" && s.Signal.Kind == Consumer && s.Signal.TraceId.Hex() == trace);
        Assert.Equal(caller.State, booking.Signal.TraceState);
        await Eventually.FindAsync(
            "a statement of the booking", () => Topology.Telemetry.Trace(trace).DescendantsOf(booking.Signal),
            s => s.Signal.Attributes.Has("db.system.name|db.system"));
        Assert.Contains(booking, Topology.Telemetry.Trace(trace).DescendantsOf(batch.Signal));

        var usage = Assert.Single(
            EventReader.ReadAll(Topology.KafkaBootstrap, "hybrid.usage.v1").Messages(UsageWindow.Parser), r => r.Message.Jurisdiction == Jurisdiction);
        Assert.Equal(caller.State, usage.Record.Headers["tracestate"]);
        Assert.Contains(trace, usage.Record.Headers["traceparent"], StringComparison.Ordinal);
    }

    private Task<Received<Span>> FindAsync(string what, Func<Received<Span>, bool> fits) => Eventually.FindAsync(what, () => Topology.Telemetry.Spans, fits);
}
