using System.Diagnostics;
using System.Globalization;
using Grpc.Health.V1;

namespace Hybrid.Tests.Latency;

/// <summary>Enforces budgets.json.</summary>
[Collection(SharedTopology.Name)]
public sealed class LatencyBudgetTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private static readonly BudgetFile File = BudgetFile.Load();
    private static readonly string[] HealthCheck = ["--method", "health"];

    private Uri ControlPlane => Topology.App.GetEndpoint("control-plane", "grpc");

    [Theory]
    [InlineData("quote-median")]
    [InlineData("quote-tail")]
    [InlineData("quote-promise")]
    [InlineData("pricing")]
    public async Task A_quote_stays_within_its_budget(string name)
    {
        var (budget, node) = (File[name], Topology.Nodes[0]);
        var quote = await PreparedBasketAsync(node);
        await new BudgetEnforcement(File.Noise, Output.WriteLine).EnforceAsync(
            budget, () => LoadAsync(budget, name == "pricing" ? node.Grpc : ControlPlane, HealthCheck), () => LoadAsync(budget, node.Grpc, quote));
    }

    [Fact]
    public async Task A_catalog_read_stays_within_its_budget()
    {
        var item = await CreateItemAsync(100);
        var health = new Health.HealthClient(Topology.ControlPlane);
        await new BudgetEnforcement(File.Noise, Output.WriteLine).EnforceAsync(
            File["catalog-read"],
            () => CallAsync(async () => await health.CheckAsync(new(), cancellationToken: Cancellation)),
            () => CallAsync(async () => await Topology.Catalog.GetItemAsync(new() { Sku = item.Sku }, cancellationToken: Cancellation)));
    }

    [Fact]
    public async Task A_deliberate_slowdown_breaches_the_budget()
    {
        var budget = File["quote-median"];
        await using var slow = new SlowDataPlane(Topology, TimeSpan.FromMicroseconds(500));
        var quote = await PreparedBasketAsync(slow.Node);
        var breach = await Assert.ThrowsAsync<BudgetBreachedException>(() => new BudgetEnforcement(File.Noise with { Attempts = 1 }, Output.WriteLine).EnforceAsync(
            budget, () => LoadAsync(budget, ControlPlane, HealthCheck), () => LoadAsync(budget, slow.Node.Grpc, quote)));
        Output.WriteLine(breach.Message);
    }

    private static async Task<double?> LoadAsync(Budget budget, Uri server, string[] call)
    {
        using var load = await Loadgen.StartAsync(
            [server],
            ["--rate", $"{budget.RatePerSecond}", "--duration", string.Create(CultureInfo.InvariantCulture, $"{File.Noise.SecondsPerRound * 1_000}ms"), "--warm-up", "500ms", .. call]);
        var result = await load.ResultAsync();
        Assert.Empty(result.Failed);
        return !result.KeptUp ? null : budget.Percentile == 50 ? result.LatencyMicros.P50 : result.LatencyMicros.P99;
    }

    /// <summary>Calls for the time of a round, each after the one before.</summary>
    private static async Task<double?> CallAsync(Func<Task> call)
    {
        var (round, times) = (Stopwatch.StartNew(), new List<double>());
        while (round.Elapsed.TotalSeconds < File.Noise.SecondsPerRound)
        {
            var start = Stopwatch.GetTimestamp();
            await call();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }
        return times.Order().ElementAt(times.Count / 2);
    }

    /// <returns>The arguments by which the load generator asks for the basket's quote.</returns>
    private async Task<string[]> PreparedBasketAsync(DataPlaneNode node)
    {
        var first = await CreateItemAsync(1_999);
        var second = await CreateItemAsync(450);
        await CreateTaxRuleAsync(190_000);
        var promotion = await CreatePromotionAsync(100_000, 1_000_000_000_000, first.Sku);
        await WaitForVersionAsync(node, Basket((first.Sku, 2), (second.Sku, 5)), promotion.Version);
        return ["--currency", "EUR", "--jurisdiction", Jurisdiction, "--line", $"{first.Sku}=2", "--line", $"{second.Sku}=5"];
    }
}
