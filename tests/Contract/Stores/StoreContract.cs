using System.Text;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Planes;
using Hybrid.Usage.V1;

namespace Hybrid.Tests.Contract.Stores;

/// <summary>What the system needs of a Postgres and a Kafka, wherever they run.</summary>
[Collection(SharedPlanes.Name)]
public abstract class StoreContract(BarePlanes planes, ITestOutputHelper output) : SystemTest(planes, output)
{
    protected BarePlanes Planes { get; } = planes;

    [Fact]
    public async Task The_control_plane_has_run_every_migration()
    {
        var files = Directory.GetFiles(Path.Combine(Toolchain.Workspace.GoModule, "internal/postgres/migrations"), "*.sql")
            .Select(Path.GetFileName).Order(StringComparer.Ordinal);
        var journal = new List<string>();
        await using var query = Planes.Database.CreateCommand("SELECT file FROM schema_migration ORDER BY number");
        await using var reader = await query.ExecuteReaderAsync(Cancellation);
        while (await reader.ReadAsync(Cancellation))
            journal.Add(reader.GetString(0));
        Assert.Equal(files, journal);
    }

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

    private List<QuoteResponse> OwnQuotes() =>
    [
        .. EventReader.ReadAll(Planes.KafkaBootstrap, "hybrid.quotes.v1").Messages(QuotePriced.Parser)
            .Where(e => e.Message.Quote?.Jurisdiction == Jurisdiction).Select(e => e.Message.Quote!),
    ];
}

/// <summary>The contract on the server programs of this machine.</summary>
public sealed class StoresOnNativeServersTests(BarePlanes planes, ITestOutputHelper output) : StoreContract(planes, output)
{
    public override ValueTask InitializeAsync()
    {
        Assert.SkipWhen(Planes.Stores.InContainers, $"A container engine answers, so the stores of this run are in containers. {StoreChoice.Variable}=native runs this.");
        return base.InitializeAsync();
    }
}

/// <summary>The contract on containers that Testcontainers starts.</summary>
public sealed class StoresInContainersTests(BarePlanes planes, ITestOutputHelper output) : StoreContract(planes, output)
{
    public override ValueTask InitializeAsync()
    {
        Assert.SkipUnless(Planes.Stores.InContainers, $"The stores of this run are not in containers: {Planes.WhyNotContainers}");
        return base.InitializeAsync();
    }
}
