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

    [Fact]
    public async Task A_budget_is_overspent_by_what_is_priced_until_the_news_has_come_round()
    {
        const int rate = 1_000;
        const long budget = 10_000;
        var request = await StockAsync(200);
        var promotion = await CreatePromotionAsync(500_000, budget, request.Lines[0].Sku);
        foreach (var node in Topology.Nodes)
            await WaitForVersionAsync(node, request, promotion.Version);

        // Each quote gives EUR 1 of a budget of EUR 100.
        await using var loadgen = await Loadgen.StartAsync(
            Topology.Nodes.Select(node => node.Grpc), "--rate", $"{rate}", "--duration", "8s", "--warm-up", "0s",
            "--currency", "EUR", "--jurisdiction", Jurisdiction, "--line", $"{request.Lines[0].Sku}=1");
        var load = await loadgen.ResultAsync();
        await Settlement.WaitAsync(Topology);
        var spent = (await Topology.Catalog.GetPromotionAsync(new() { PromotionId = promotion.PromotionId }, cancellationToken: Cancellation)).Promotion;

        var over = spent.SpentMinor - budget;
        Output.WriteLine($"EUR {spent.SpentMinor / 100} of a budget of EUR {budget / 100} at EUR {rate} of discounts a second: the news took {over / 100.0 / rate:0.00} s");
        Assert.True(spent.Exhausted);
        Assert.Equal(OwnEvents().Sum(quote => quote.DiscountMinor), spent.SpentMinor);
        Assert.True(over < load.Answered * 100 / 2, $"{over / 100} of {load.Answered} quotes were discounted beyond the budget.");
    }
}
