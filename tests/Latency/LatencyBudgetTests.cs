using System.Diagnostics;
using Grpc.Health.V1;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Latency;

/// <summary>Enforces budgets.json.</summary>
public sealed class LatencyBudgetTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private static readonly NoisePolicy Noise = BudgetFile.Loaded.Noise;
    private static readonly string[] HealthCheck = ["--method", "health"];

    private Uri ControlPlane => Topology.App.GetEndpoint("control-plane", "grpc");

    [Theory]
    [InlineData("quote-median")]
    [InlineData("quote-tail")]
    [InlineData("quote-promise")]
    [InlineData("pricing")]
    public Task A_quote_stays_within_its_budget(string name) =>
        EnforceOnQuoteAsync(name, Topology.Nodes[0], name == "pricing" ? Topology.Nodes[0].Grpc : ControlPlane, Noise);

    [Fact]
    public async Task A_deliberate_slowdown_breaches_the_budget()
    {
        using var state = new StateDirectory();
        var (http, grpc) = Ports.Free().DataPlanes[0].Ports;
        using var node = new DataPlaneNode("the slow node", new Uri($"http://127.0.0.1:{http}"), new Uri($"http://127.0.0.1:{grpc}"));
        await using var slow = ChildProcess.Start(node.Name, [Programs.Rust("data-plane")], state.Path, new Dictionary<string, string?>
        {
            ["HTTP_PORT"] = $"{http}",
            ["GRPC_PORT"] = $"{grpc}",
            ["NODE_ID"] = UniqueName("slow"),
            ["STATE_DIR"] = state.Path,
            ["CONTROL_PLANE_GRPC"] = $"{ControlPlane}",
            ["ConnectionStrings__kafka"] = Topology.KafkaBootstrap,
            ["QUOTE_DELAY_US"] = "500",
        });
        await slow.WaitAsync("to be ready", async () =>
        {
            using var answer = await Topology.Http.GetAsync(new Uri(node.Http, "/readyz"), Cancellation);
            return answer.IsSuccessStatusCode;
        }, Eventually.IsNotYet);
        var breach = await Assert.ThrowsAsync<BudgetBreachedException>(() => EnforceOnQuoteAsync("quote-median", node, ControlPlane, Noise));
        Output.WriteLine(breach.Message);
    }

    [Fact]
    public async Task A_catalog_read_stays_within_its_budget()
    {
        var item = await CreateItemAsync(100);
        var health = new Health.HealthClient(Topology.ControlPlane);
        await new BudgetEnforcement(Noise, Output.WriteLine).EnforceAsync(
            BudgetFile.Loaded["catalog-read"],
            () => CallAsync(async () => await health.CheckAsync(new(), cancellationToken: Cancellation)),
            () => CallAsync(async () => await Topology.Catalog.GetItemAsync(new() { Sku = item.Sku }, cancellationToken: Cancellation)));
    }

    private async Task EnforceOnQuoteAsync(string name, DataPlaneNode node, Uri baseline, NoisePolicy noise)
    {
        var first = await CreateItemAsync(1_999);
        var second = await CreateItemAsync(450);
        await CreateTaxRuleAsync(190_000);
        var promotion = await CreatePromotionAsync(100_000, 1_000_000_000_000, first.Sku);
        await WaitForVersionAsync(node, Basket((first.Sku, 2), (second.Sku, 5)), promotion.Version);
        string[] quote = ["--currency", "EUR", "--jurisdiction", Jurisdiction, "--line", $"{first.Sku}=2", "--line", $"{second.Sku}=5"];
        var budget = BudgetFile.Loaded[name];
        await new BudgetEnforcement(noise, Output.WriteLine).EnforceAsync(
            budget, () => LoadAsync(budget, baseline, HealthCheck), () => LoadAsync(budget, node.Grpc, quote));
    }

    private static async Task<double> LoadAsync(Budget budget, Uri server, string[] call)
    {
        await using var load = await Loadgen.StartAsync(
            [server], ["--rate", $"{budget.RatePerSecond}", "--duration", $"{Noise.SecondsPerRound}s", "--warm-up", "500ms", .. call]);
        var result = await load.ResultAsync();
        Assert.Empty(result.Failed);
        return result.Late > result.Sent * budget.MaxLatePercent / 100 ? double.PositiveInfinity : budget.Percentile == 50 ? result.LatencyMicros.P50 : result.LatencyMicros.P99;
    }

    /// <summary>Calls for the time of a round, each after the one before.</summary>
    private static async Task<double> CallAsync(Func<Task> call)
    {
        var (round, times) = (Stopwatch.StartNew(), new List<double>());
        while (round.Elapsed.TotalSeconds < Noise.SecondsPerRound)
        {
            var start = Stopwatch.GetTimestamp();
            await call();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }
        return times.Order().ElementAt(times.Count / 2);
    }
}
