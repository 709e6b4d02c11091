using Grpc.Health.V1;
using Grpc.Net.Client;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Latency;

/// <summary>Enforces budgets.json. Run alone: dotnet test --filter Category=LatencyBudget</summary>
[Trait("Category", "LatencyBudget")]
[Collection(SharedTopology.Name)]
public sealed class LatencyBudgetTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private static readonly BudgetFile File = BudgetFile.Load();

    [Theory]
    [InlineData("quote")]
    [InlineData("quote-median")]
    public async Task A_quote_stays_within_its_budget(string name)
    {
        var node = Topology.Nodes[0];
        var request = await PreparedBasketAsync(node);
        var health = new Health.HealthClient(node.Channel);
        await new BudgetEnforcement(File.Noise, Output.WriteLine).EnforceAsync(
            File[name],
            async () => await health.CheckAsync(new HealthCheckRequest(), cancellationToken: Cancellation),
            async () => await node.Pricing.QuoteAsync(request, cancellationToken: Cancellation),
            Cancellation);
    }

    [Fact]
    public async Task A_catalog_read_stays_within_its_budget()
    {
        var item = await CreateItemAsync(100);
        using var channel = GrpcChannel.ForAddress(Topology.App.GetEndpoint("control-plane", "grpc"));
        var health = new Health.HealthClient(channel);
        var catalog = new Catalog.V1.CatalogService.CatalogServiceClient(channel);
        await new BudgetEnforcement(File.Noise, Output.WriteLine).EnforceAsync(
            File["catalog-read"],
            async () => await health.CheckAsync(new HealthCheckRequest(), cancellationToken: Cancellation),
            async () => await catalog.GetItemAsync(new() { Sku = item.Sku }, cancellationToken: Cancellation),
            Cancellation);
    }

    [Fact]
    public async Task A_deliberate_slowdown_breaches_the_budget()
    {
        var request = await PreparedBasketAsync(Topology.Nodes[0]);
        await using var slow = await SlowDataPlane.StartAsync(Topology, TimeSpan.FromMilliseconds(20), Output);
        await Eventually.SucceedsAsync("the slow node to price the basket", async () => await slow.Pricing.QuoteAsync(request, cancellationToken: Cancellation));
        var health = new Health.HealthClient(slow.Channel);

        // One attempt, one round: the breach is far beyond any noise.
        var quick = File.Noise with { Rounds = 1, SecondsPerRound = 1, Attempts = 1 };
        var breach = await Assert.ThrowsAsync<BudgetBreachedException>(() => new BudgetEnforcement(quick, Output.WriteLine).EnforceAsync(
            File["quote-median"] with { RatePerSecond = 50 },
            async () => await health.CheckAsync(new HealthCheckRequest(), cancellationToken: Cancellation),
            async () => await slow.Pricing.QuoteAsync(request, cancellationToken: Cancellation),
            Cancellation));
        Output.WriteLine(breach.Message);
    }

    private async Task<QuoteRequest> PreparedBasketAsync(DataPlaneNode node)
    {
        var first = await CreateItemAsync(1_999);
        var second = await CreateItemAsync(450);
        await CreateTaxRuleAsync(190_000);
        var promotion = await CreatePromotionAsync(100_000, 1_000_000_000_000, first.Sku);
        var request = Basket((first.Sku, 2), (second.Sku, 5));
        await WaitForVersionAsync(node, request, promotion.Version);
        return request;
    }
}
