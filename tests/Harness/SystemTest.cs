using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Harness;

/// <summary>
/// A test on a shared system. Each has a jurisdiction and skus of its own, so that tests do not see each other's data. When
/// one fails, the last log lines of every service are printed.
/// </summary>
public abstract class SystemTest(RunningSystem system, ITestOutputHelper output) : IAsyncLifetime
{
    private const int LogLines = 40;

    protected RunningSystem Running { get; } = system;
    protected ITestOutputHelper Output { get; } = output;
    protected string Jurisdiction { get; } = "T-" + Guid.NewGuid().ToString("N")[..10].ToUpperInvariant();
    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The resources whose logs explain a failure of this test.</summary>
    protected virtual IReadOnlyList<string> Concerned => [.. RunningTopology.Services, .. RunningTopology.Servers];

    public virtual ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public virtual async ValueTask DisposeAsync()
    {
        if (TestContext.Current.TestState?.Result == TestResult.Failed)
        {
            foreach (var resource in Concerned)
                Output.WriteLine($"--- {resource}, last lines\n{string.Join('\n', await Running.LogTailAsync(resource, LogLines))}");
        }
        GC.SuppressFinalize(this);
    }

    protected static string UniqueName(string prefix) => $"{prefix}-{Guid.NewGuid():N}"[..24];

    protected async Task<Item> CreateItemAsync(long price, string category = "")
    {
        var sku = UniqueName("sku");
        var item = new Item { Sku = sku, Name = sku, UnitPrice = Euros(price), TaxCategory = category };
        return (await Running.Catalog.CreateItemAsync(new() { Item = item }, cancellationToken: Cancellation)).Item;
    }

    protected async Task<TaxRule> CreateTaxRuleAsync(long ratePpm, string category = "standard")
    {
        var rule = new TaxRule { Jurisdiction = Jurisdiction, Category = category, RatePpm = ratePpm };
        return (await Running.Catalog.CreateTaxRuleAsync(new() { TaxRule = rule }, cancellationToken: Cancellation)).TaxRule;
    }

    protected async Task<Promotion> CreatePromotionAsync(long percentOffPpm, long budget, params string[] skus)
    {
        var id = UniqueName("promotion");
        var promotion = new Promotion { PromotionId = id, Name = id, PercentOffPpm = percentOffPpm, Budget = Euros(budget), Skus = { skus } };
        return (await Running.Catalog.CreatePromotionAsync(new() { Promotion = promotion }, cancellationToken: Cancellation)).Promotion;
    }

    /// <summary>Creates an item and the tax rule for it, and waits until every node has both.</summary>
    /// <returns>A basket of one piece.</returns>
    protected async Task<QuoteRequest> StockAsync(long price, long ratePpm = 0)
    {
        var item = await CreateItemAsync(price);
        await Running.AppliedAsync((await CreateTaxRuleAsync(ratePpm)).Version);
        return Basket((item.Sku, 1));
    }

    protected QuoteRequest Basket(params (string Sku, long Quantity)[] lines) => new()
    {
        CurrencyCode = "EUR",
        Jurisdiction = Jurisdiction,
        Lines = { lines.Select(l => new QuoteLine { Sku = l.Sku, Quantity = l.Quantity }) },
    };

    /// <summary>Waits until a node prices with a snapshot at least as new as the version.</summary>
    protected static Task<QuoteResponse> WaitForVersionAsync(DataPlaneNode node, QuoteRequest request, long version) => Eventually.HoldsAsync(
        $"{node.Name} to price with version {version}",
        async () => await node.Pricing.QuoteAsync(request, cancellationToken: Cancellation),
        quote => quote.SnapshotVersion >= version,
        retryOn: Eventually.IsNotYet);

    /// <summary>This test's quotes that have an event in Kafka now.</summary>
    protected List<QuoteResponse> OwnEvents() => EventReader.ReadQuotes(Running, Jurisdiction);

    /// <summary>What the ledger has booked of this test's quotes.</summary>
    private protected Task<Sums> BookedAsync() => Sums.OfLedgerAsync(Running.Database, Jurisdiction);

    private static Money.V1.Money Euros(long minorUnits) => new() { CurrencyCode = "EUR", MinorUnits = minorUnits };
}

/// <summary>A test on the shared topology.</summary>
[Collection(Collection)]
public abstract class TopologyTest(RunningTopology topology, ITestOutputHelper output) : SystemTest(topology, output)
{
    public const string Collection = "topology";

    protected RunningTopology Topology { get; } = topology;
}
