using System.Collections.Concurrent;
using System.Text;
using Google.Protobuf;
using Hybrid.Pricing.V1;
using Hybrid.Usage.V1;

namespace Hybrid.Tests.Topology.Loop;

/// <summary>The loop: catalog → snapshot → quotes → events → usage → ledger, and back into the catalog.</summary>
[Collection(SharedTopology.Name)]
public sealed class LoopTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private const int Quotes = 10_000;
    private const int InFlight = 16;

    [Fact]
    public async Task What_is_created_is_priced_by_every_replica_and_quotes_reach_the_ledger_to_the_cent()
    {
        var mug = await CreateItemAsync(1_050);
        var book = await CreateItemAsync(1_999, category: "reduced");
        TaxRuleSet rules = new(await CreateTaxRuleAsync(190_000), await CreateTaxRuleAsync(70_000, "reduced"));
        var promotion = await CreatePromotionAsync(125_000, 1_000_000_000_000, mug.Sku);
        foreach (var node in Topology.Nodes)
            await WaitForVersionAsync(node, Basket((mug.Sku, 1)), promotion.Version);

        var answers = await QuoteManyAsync(i => Basket((mug.Sku, 1 + (i % 7)), (book.Sku, 1 + (i % 3))));

        var oracle = new OracleCatalog([mug, book], [rules.Standard, rules.Reduced], [promotion]);
        foreach (var (request, answer) in answers.Take(500))
            AssertPricedAs(PricingOracle.Quote(oracle, request, DateTimeOffset.UtcNow), answer);

        // The quotes that the wait for the version made are in the ledger too; the events name them all.
        var expectedAtLeast = Sums.Of(answers.Select(a => a.Answer));
        var events = await Eventually.HoldsAsync(
            "all events in Kafka", () => Task.Run(OwnEvents), seen => seen.Count >= Quotes + Topology.Nodes.Count);
        Assert.Equal(events.Count, events.Select(e => e.Message.Quote.QuoteId).Distinct().Count());
        Assert.Superset(answers.Select(a => a.Answer.QuoteId).ToHashSet(), events.Select(e => e.Message.Quote.QuoteId).ToHashSet());
        var fromEvents = Sums.Of(events.Select(e => e.Message.Quote));
        Assert.True(fromEvents.Quotes >= expectedAtLeast.Quotes);

        await Settlement.WaitAsync(Topology);
        var ledger = await Sums.OfLedgerAsync(Topology.Database, Jurisdiction);
        Assert.Equal(fromEvents, ledger);
        Output.WriteLine($"{ledger}");
    }

    [Fact]
    public async Task Events_are_cloud_events_that_carry_a_trace()
    {
        var item = await CreateItemAsync(500);
        var rule = await CreateTaxRuleAsync(190_000);
        var quote = await WaitForVersionAsync(Topology.Nodes[0], Basket((item.Sku, 2)), rule.Version);

        var (record, message) = await Eventually.HoldsAsync(
            "the event of the quote", () => Task.Run(() => OwnEvents().FirstOrDefault(e => e.Message.Quote.QuoteId == quote.QuoteId)), e => e.Record is not null);

        Assert.Equal(quote, message.Quote);
        Assert.Equal(Topology.Nodes[0].Name, message.NodeId);
        Assert.Equal(quote.QuoteId, Encoding.UTF8.GetString(record.Key!));
        Assert.Equal("1.0", record.Headers["ce_specversion"]);
        Assert.Equal(quote.QuoteId, record.Headers["ce_id"]);
        Assert.Equal("hybrid.pricing.quote.priced.v1", record.Headers["ce_type"]);
        Assert.Equal("application/protobuf", record.Headers["content-type"]);
        Assert.NotEmpty(record.Headers["ce_source"]);
        Assert.True(DateTimeOffset.TryParse(record.Headers["ce_time"], System.Globalization.CultureInfo.InvariantCulture, out _));
        Assert.Matches("^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$", record.Headers["traceparent"]);
        Assert.Equal('7', quote.QuoteId[14]);
    }

    [Fact]
    public async Task Catalog_changes_are_published_in_commit_order()
    {
        var item = await CreateItemAsync(700);
        item.UnitPrice.MinorUnits = 800;
        var updated = (await Topology.Catalog.UpdateItemAsync(new() { Item = item }, cancellationToken: Cancellation)).Item;
        await Topology.Catalog.DeleteItemAsync(new() { Sku = item.Sku, Version = updated.Version }, cancellationToken: Cancellation);

        var key = Encoding.UTF8.GetBytes("item/" + item.Sku);
        var records = await Eventually.HoldsAsync(
            "three records of the item in hybrid.catalog.v1",
            () => Task.Run(() => EventReader.ReadAll(Topology.KafkaBootstrap, "hybrid.catalog.v1").Where(r => r.Key?.AsSpan().SequenceEqual(key) == true).ToList()),
            seen => seen.Count == 3);

        Assert.Equal(700, CatalogChanged.Parser.ParseFrom(records[0].Value).Resource.Item.UnitPrice.MinorUnits);
        Assert.Equal(800, CatalogChanged.Parser.ParseFrom(records[1].Value).Resource.Item.UnitPrice.MinorUnits);
        Assert.Null(records[2].Value);
        Assert.All(records, r => Assert.Equal("hybrid.catalog.changed.v1", r.Headers["ce_type"]));
    }

    [Fact]
    public async Task A_spent_budget_ends_the_promotion_everywhere()
    {
        var item = await CreateItemAsync(10_000);
        await CreateTaxRuleAsync(0);
        var promotion = await CreatePromotionAsync(500_000, 20_000, item.Sku);
        var request = Basket((item.Sku, 1));
        var node = Topology.Nodes[0];
        await WaitForVersionAsync(node, request, promotion.Version);

        // Each quote gives 5,000 of a budget of 20,000; the ledger's news must come back to both nodes.
        foreach (var replica in Topology.Nodes)
        {
            await Eventually.HoldsAsync(
                $"{replica.Name} to grant no more discount",
                async () => await replica.Pricing.QuoteAsync(request, cancellationToken: Cancellation), quote => quote.DiscountMinor == 0);
        }
        var after = (await Topology.Catalog.GetPromotionAsync(new() { PromotionId = promotion.PromotionId }, cancellationToken: Cancellation)).Promotion;
        Assert.True(after.Exhausted);
        Assert.True(after.Version > promotion.Version);

        // What was spent is what was granted, to the cent, and at least the budget.
        await Settlement.WaitAsync(Topology);
        var granted = OwnEvents().Sum(e => e.Message.Quote.DiscountMinor);
        var settled = (await Topology.Catalog.GetPromotionAsync(new() { PromotionId = promotion.PromotionId }, cancellationToken: Cancellation)).Promotion;
        Assert.Equal(granted, settled.SpentMinor);
        Assert.InRange(granted, 20_000, long.MaxValue);
    }

    [Fact]
    public async Task The_fleet_knows_which_version_each_node_runs()
    {
        var item = await CreateItemAsync(100);
        await Eventually.HoldsAsync(
            "every node to have applied the new version",
            async () => await Topology.Fleet.ListNodesAsync(new(), cancellationToken: Cancellation),
            fleet => Topology.Nodes.All(node => fleet.Nodes.Any(
                n => n.NodeId == node.Name && n.Connected && n.AppliedVersion >= item.Version && n.Rejects.Count == 0)));
    }

    private async Task<List<(QuoteRequest Request, QuoteResponse Answer)>> QuoteManyAsync(Func<int, QuoteRequest> request)
    {
        var answers = new ConcurrentBag<(QuoteRequest, QuoteResponse)>();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Quotes), new ParallelOptions { MaxDegreeOfParallelism = InFlight, CancellationToken = Cancellation }, async (i, token) =>
            {
                var basket = request(i);
                answers.Add((basket, await Topology.Nodes[i % Topology.Nodes.Count].Pricing.QuoteAsync(basket, cancellationToken: token)));
            });
        return [.. answers];
    }

    private List<(SeenRecord Record, QuotePriced Message)> OwnEvents() =>
        [.. EventReader.ReadAll(Topology.KafkaBootstrap, "hybrid.quotes.v1").Messages(QuotePriced.Parser).Where(e => e.Message.Quote?.Jurisdiction == Jurisdiction)];

    private static void AssertPricedAs(QuoteResponse expected, QuoteResponse actual)
    {
        var comparable = actual.Clone();
        comparable.QuoteId = "";
        comparable.SnapshotVersion = 0;
        comparable.PricedAt = null;
        Assert.Equal(expected, comparable);
    }

    private sealed record TaxRuleSet(Catalog.V1.TaxRule Standard, Catalog.V1.TaxRule Reduced);
}
