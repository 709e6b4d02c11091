using Npgsql;

namespace Hybrid.Tests.Topology.Fault;

/// <summary>A stop and a new start on the same state folder.</summary>
[Collection(Name)]
public sealed class RestartTests
{
    /// <summary>A collection of its own: while it runs, the shared topology may be up, but no other test is.</summary>
    public const string Name = "restart";

    [Fact]
    public async Task Catalog_and_ledger_survive_a_restart()
    {
        var cancellation = TestContext.Current.CancellationToken;
        using var state = new StateDirectory();
        const string jurisdiction = "T-RESTART";
        Sums before;

        await using (var app = await TopologyStart.StartAsync(state.Path))
        {
            var shop = new Shop(app, jurisdiction);
            await shop.StockAsync(cancellation);
            await shop.BuyAsync(100, cancellation);
            before = await Booked(app, jurisdiction, atLeast: 100);
        }

        await using (var app = await TopologyStart.StartAsync(state.Path))
        {
            Assert.Equal(before, await Booked(app, jurisdiction, atLeast: before.Quotes));
            var shop = new Shop(app, jurisdiction);
            await shop.BuyAsync(50, cancellation);
            var after = await Booked(app, jurisdiction, atLeast: before.Quotes + 50);
            Assert.Equal(before.Quotes + 50, after.Quotes);
        }
    }

    private static async Task<Sums> Booked(DistributedApplication app, string jurisdiction, long atLeast)
    {
        await using var database = NpgsqlDataSource.Create((await app.GetConnectionStringAsync("hybriddb"))!);
        return await Eventually.HoldsAsync(
            $"{atLeast} quotes in the ledger", () => Sums.OfLedgerAsync(database, jurisdiction), sums => sums.Quotes >= atLeast);
    }
}
