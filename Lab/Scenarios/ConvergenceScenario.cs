using System.Diagnostics;
using System.Globalization;
using Grpc.Net.Client;
using Hybrid.Catalog.V1;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;

namespace Hybrid.Lab.Scenarios;

/// <summary>A change of the catalog on its way to many nodes. What a change costs must follow from the change, not from the catalog.</summary>
internal sealed class ConvergenceScenario : IScenario
{
    public const int Small = 1_000, Large = 100_000;
    private const int Nodes = 100;
    /// <summary>As the contract of the batch says.</summary>
    private const int MostAtOnce = 1_000;
    private const string SkuPrefix = "lab-item-";
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(1) };

    public string Name => "convergence";
    public string Question => $"How soon do {Nodes} nodes have one changed item, and what does the control plane spend on it?";
    public LabPrograms Needs => LabPrograms.None;

    public TimeSpan Estimate(Effort effort) => TimeSpan.FromSeconds(25) + (2 * effort.Rounds * effort.Changes * TimeSpan.FromMilliseconds(20));

    /// <summary>What the report calls a catalog of so many items.</summary>
    public static string Variant(int items) => string.Create(CultureInfo.InvariantCulture, $"{items:N0} items");

    public async Task<IReadOnlyList<Measurement>> RunAsync(Bench bench)
    {
        await bench.Stores.StartAsync(bench.CancellationToken);
        var (measurements, stocked) = (new List<Measurement>(), 0);
        foreach (var items in (int[])[Small, Large])
        {
            bench.Say($"a catalog of {Variant(items)}");
            await StockAsync(bench, stocked, items);
            stocked = items;
            measurements.AddRange(await MeasureAsync(bench, items));
        }
        return measurements;
    }

    private async Task<IReadOnlyList<Measurement>> MeasureAsync(Bench bench, int items)
    {
        await using var server = await Server.StartAsync(LabTwins.ControlPlane(bench.Stores), IsReadyAsync, bench.CancellationToken);
        using var channel = GrpcChannel.ForAddress(server.Address);
        var catalog = new CatalogService.CatalogServiceClient(channel);
        var newest = await catalog.GetItemAsync(new() { Sku = $"{SkuPrefix}{items - 1}" }, cancellationToken: bench.CancellationToken);
        var before = server.Probe.Read().Cpu;
        await using var nodes = new ScriptedNodes(server.Address, Nodes);
        await nodes.HaveAsync(newest.Item.Version, bench.CancellationToken);
        var whole = (server.Probe.Read().Cpu - before).TotalMilliseconds;

        var measurements = new List<Measurement>();
        for (var round = 1; round <= bench.Effort.Rounds; round++)
        {
            bench.Say($"round {round} of {bench.Effort.Rounds}, {Variant(items)}");
            var measured = await ChangeAsync(bench, catalog, nodes, server);
            if (round == 1)
                measured[Metric.WholeCpu] = whole;
            measurements.Add(new Measurement(Name, Variant(items), round, measured));
        }
        return measurements;
    }

    /// <summary>Changes one item again and again, each time when all nodes have the change before.</summary>
    private static async Task<Dictionary<string, double>> ChangeAsync(
        Bench bench, CatalogService.CatalogServiceClient catalog, ScriptedNodes nodes, Server server)
    {
        var item = (await catalog.GetItemAsync(new() { Sku = SkuPrefix + "0" }, cancellationToken: bench.CancellationToken)).Item;
        var (before, bytes, times) = (server.Probe.Read().Cpu, nodes.Bytes, new List<double>());
        for (var change = 0; change < bench.Effort.Changes; change++)
        {
            var start = Stopwatch.GetTimestamp();
            item.UnitPrice.MinorUnits = 100 + (change % 2);
            var changed = await catalog.UpdateItemAsync(new() { Item = item }, cancellationToken: bench.CancellationToken);
            item = changed.Item;
            times.Add(Stopwatch.GetElapsedTime(start, await nodes.HaveAsync(item.Version, bench.CancellationToken)).TotalMilliseconds);
        }
        times.Sort();
        return new()
        {
            [Metric.P50] = At(times, 0.5),
            [Metric.P99] = At(times, 0.99),
            [Metric.ChangeMicros] = (server.Probe.Read().Cpu - before).TotalMicroseconds / times.Count,
            [Metric.ChangeBytes] = (nodes.Bytes - bytes) / (double)times.Count,
            [Metric.LoadMemory] = server.Probe.ResidentMegabytes(),
        };
    }

    private static double At(List<double> sorted, double part) => sorted[(int)Math.Ceiling(sorted.Count * part) - 1];

    private static async Task<bool> IsReadyAsync(Server server)
    {
        using var response = await Http.GetAsync(new Uri(server.OtherAddress + "/readyz"));
        return response.IsSuccessStatusCode;
    }

    /// <summary>Creates the missing items.</summary>
    private static async Task StockAsync(Bench bench, int from, int to)
    {
        using var channel = GrpcChannel.ForAddress(bench.Stores.ControlPlaneGrpc);
        var catalog = new CatalogService.CatalogServiceClient(channel);
        foreach (var numbers in Enumerable.Range(from, to - from).Chunk(MostAtOnce))
        {
            var request = new BatchCreateItemsRequest();
            request.Items.AddRange(numbers.Select(n => new Item { Sku = $"{SkuPrefix}{n}", Name = $"Item {n}", UnitPrice = new() { CurrencyCode = "EUR", MinorUnits = 100 } }));
            await catalog.BatchCreateItemsAsync(request, cancellationToken: bench.CancellationToken);
        }
    }
}
