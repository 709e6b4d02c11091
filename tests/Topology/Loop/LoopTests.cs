using System.Collections.Concurrent;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Topology.Loop;

/// <summary>The loop: catalog → snapshot → quotes → events → usage → ledger, and back into the catalog.</summary>
public sealed class LoopTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private const int Quotes = 10_000;
    private const int InFlight = 16;

    [Fact]
    public async Task What_every_replica_prices_reaches_the_ledger_once_and_to_the_cent()
    {
        var mug = await CreateItemAsync(1_050);
        var book = await CreateItemAsync(1_999, category: "reduced");
        await CreateTaxRuleAsync(190_000);
        await CreateTaxRuleAsync(70_000, "reduced");
        var promotion = await CreatePromotionAsync(125_000, 1_000_000_000_000, mug.Sku);
        await Topology.AppliedAsync(promotion.Version);

        var answers = new ConcurrentBag<QuoteResponse>();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Quotes), new ParallelOptions { MaxDegreeOfParallelism = InFlight, CancellationToken = Cancellation }, async (i, token) =>
            {
                var basket = Basket((mug.Sku, 1 + (i % 7)), (book.Sku, 1 + (i % 3)));
                answers.Add(await Topology.Nodes[i % Topology.Nodes.Count].Pricing.QuoteAsync(basket, cancellationToken: token));
            });

        var events = await Eventually.BecomesAsync("all events in Kafka", OwnEvents, seen => seen.Count >= Quotes);
        Assert.Distinct(events.Select(quote => quote.QuoteId));
        Assert.Equal(Sums.Of(answers), Sums.Of(events));
        await Settlement.WaitAsync(Topology);
        Assert.Equal(Sums.Of(answers), await BookedAsync());
    }

    [Fact]
    public async Task A_spent_budget_ends_the_promotion_everywhere()
    {
        var request = await StockAsync(10_000);
        var promotion = await CreatePromotionAsync(500_000, 20_000, request.Lines[0].Sku);
        await WaitForVersionAsync(Topology.Nodes[0], request, promotion.Version);

        // Each quote gives 5,000 of a budget of 20,000; the ledger's news must come back to both nodes.
        foreach (var node in Topology.Nodes)
        {
            await Eventually.HoldsAsync(
                $"{node.Name} to grant no more discount",
                async () => await node.Pricing.QuoteAsync(request, cancellationToken: Cancellation), quote => quote.DiscountMinor == 0);
        }
        await Settlement.WaitAsync(Topology);
        var spent = (await Topology.Catalog.GetPromotionAsync(new() { PromotionId = promotion.PromotionId }, cancellationToken: Cancellation)).Promotion;

        // What was spent is what was granted, to the cent, and at least the budget.
        Assert.True(spent.Exhausted);
        Assert.True(spent.Version > promotion.Version);
        Assert.Equal(OwnEvents().Sum(quote => quote.DiscountMinor), spent.SpentMinor);
        Assert.InRange(spent.SpentMinor, 20_000, long.MaxValue);
    }
}
