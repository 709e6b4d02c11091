using System.Collections.Concurrent;
using Grpc.Core;
using Hybrid.Pricing.V1;
using Hybrid.Usage.V1;

namespace Hybrid.Tests.Topology.Fault;

/// <summary>kill -9 of any one process: it comes back, the loop goes on, and the ledger has every quote once.</summary>
[Collection(SharedTopology.Name)]
public sealed class KillTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private const int QuotesBefore = 200;

    protected override IReadOnlyList<string> Concerned => ["control-plane", "data-plane-1", "data-plane-2", "metering", "kafka", "postgres"];

    [Theory]
    [InlineData("control-plane")]
    [InlineData("metering")]
    [InlineData("data-plane-1")]
    [InlineData("postgres")]
    [InlineData("kafka")]
    public async Task A_killed_process_comes_back_and_nothing_is_lost_or_doubled(string resource)
    {
        if (resource is "kafka" or "metering" && Topology.KafkaIsStandIn)
            Assert.Skip("Kafka is the in-memory stand-in here: it forgets everything when it is killed, and has no transactions to keep. Set HYBRID_KAFKA_HOME to run this.");

        var item = await CreateItemAsync(1_234);
        var rule = await CreateTaxRuleAsync(190_000);
        foreach (var node in Topology.Nodes)
            await WaitForVersionAsync(node, Basket((item.Sku, 1)), rule.Version);

        var answered = new ConcurrentBag<QuoteResponse>();
        for (var i = 0; i < QuotesBefore; i++)
            answered.Add(await Topology.Nodes[i % 2].Pricing.QuoteAsync(Basket((item.Sku, 1 + (i % 5))), cancellationToken: Cancellation));
        if (resource.StartsWith("data-plane", StringComparison.Ordinal))
            await Eventually.HoldsAsync("the events to have left the process", () => Task.Run(OwnEvents), events => Covers(events, answered));

        // The other node's shop goes on all the while.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        var shopping = ShopAsync(Topology.Nodes[1], item.Sku, answered, stop.Token);
        await ResourceProcess.KillAndWaitForReturnAsync(Topology.App, resource);
        await stop.CancelAsync();
        await shopping;

        var later = await Eventually.SucceedsAsync("a write at the control plane", () => CreateItemAsync(99));
        foreach (var node in Topology.Nodes)
            answered.Add(await WaitForVersionAsync(node, Basket((later.Sku, 1)), later.Version));

        // Read together, until both have settled: quotes that only waited for a version have events too.
        var (events, ledger) = await Eventually.HoldsAsync(
            "every answered quote's event, and the ledger to equal the events",
            async () => (Events: await Task.Run(OwnEvents), Ledger: await Sums.OfLedgerAsync(Topology.Database, Jurisdiction)),
            both => Covers(both.Events, answered) && Sums.Of(both.Events).Equals(both.Ledger),
            retryOn: e => e is Npgsql.NpgsqlException);
        Assert.Equal(events.Count, events.Select(q => q.QuoteId).Distinct().Count());
        Output.WriteLine($"{resource}: {answered.Count} answered, {ledger}");
    }

    private async Task ShopAsync(DataPlaneNode node, string sku, ConcurrentBag<QuoteResponse> answered, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                answered.Add(await node.Pricing.QuoteAsync(Basket((sku, 2)), cancellationToken: stop));
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Cancelled && stop.IsCancellationRequested)
            {
                return;
            }
        }
    }

    private List<QuoteResponse> OwnEvents() =>
        [.. EventReader.ReadAll(Topology.KafkaBootstrap, "hybrid.quotes.v1").Messages(QuotePriced.Parser)
            .Select(e => e.Message.Quote).Where(q => q?.Jurisdiction == Jurisdiction).OfType<QuoteResponse>()];

    private static bool Covers(List<QuoteResponse> events, ConcurrentBag<QuoteResponse> answered) =>
        events.Select(q => q.QuoteId).ToHashSet().IsSupersetOf(answered.Select(q => q.QuoteId));
}
