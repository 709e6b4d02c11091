using System.Text;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Planes;

namespace Hybrid.Tests.Contract.Stores;

/// <summary>What the system needs of a Postgres and a Kafka, wherever they run.</summary>
public sealed class StoreTests(BarePlanes planes, ITestOutputHelper output) : PlanesTest(planes, output)
{
    [Fact]
    public async Task A_write_is_kept_and_published()
    {
        var item = await CreateItemAsync(1_999);

        await using var query = Planes.Database.CreateCommand("SELECT count(*) FROM item WHERE sku = $1");
        query.Parameters.AddWithValue(item.Sku);
        Assert.Equal(1L, await query.ExecuteScalarAsync(Cancellation));
        var key = Encoding.UTF8.GetBytes("item/" + item.Sku);
        var record = await Eventually.HoldsAsync(
            $"the record of {item.Sku} in hybrid.catalog.v1",
            () => Task.Run(() => EventReader.ReadAll(Planes.KafkaBootstrap, "hybrid.catalog.v1").Find(r => r.Key is { } k && k.AsSpan().SequenceEqual(key))),
            record => record is not null);
        Assert.Equal("1.0", record!.Headers["ce_specversion"]);
    }

    [Fact]
    public async Task A_quote_is_booked_once_and_to_the_cent()
    {
        var item = await CreateItemAsync(1_999);
        var rule = await CreateTaxRuleAsync(190_000);
        HashSet<string> quotes = [];
        foreach (var node in Planes.Nodes)
            quotes.Add((await WaitForVersionAsync(node, Basket((item.Sku, 3)), rule.Version)).QuoteId);

        // The wait for the version may have priced more than these; the events name them all.
        var events = await Eventually.HoldsAsync(
            "the events of the quotes", () => Task.Run(OwnQuotes), seen => quotes.IsSubsetOf(seen.Select(quote => quote.QuoteId)));
        await Settlement.WaitAsync(Planes);
        Assert.Equal(Sums.Of(events), await Sums.OfLedgerAsync(Planes.Database, Jurisdiction));
    }

    private List<QuoteResponse> OwnQuotes() => EventReader.ReadQuotes(Planes, Jurisdiction);
}
