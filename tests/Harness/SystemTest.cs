using Hybrid.Catalog.V1;
using Hybrid.Money.V1;
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
    protected virtual IReadOnlyList<string> Concerned => ["control-plane", "data-plane-1", "data-plane-2", "metering"];

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

    protected async Task<Item> CreateItemAsync(long price, string currency = "EUR", string category = "")
    {
        var sku = UniqueName("sku");
        var created = await Running.Catalog.CreateItemAsync(
            new CreateItemRequest { Item = new Item { Sku = sku, Name = sku, UnitPrice = Euro(price, currency), TaxCategory = category } }, cancellationToken: Cancellation);
        return created.Item;
    }

    protected async Task<TaxRule> CreateTaxRuleAsync(long ratePpm, string category = "standard")
    {
        var created = await Running.Catalog.CreateTaxRuleAsync(
            new CreateTaxRuleRequest { TaxRule = new TaxRule { Jurisdiction = Jurisdiction, Category = category, RatePpm = ratePpm } }, cancellationToken: Cancellation);
        return created.TaxRule;
    }

    protected async Task<Promotion> CreatePromotionAsync(long percentOffPpm, long budget, params string[] skus)
    {
        var id = UniqueName("promotion");
        var promotion = new Promotion { PromotionId = id, Name = id, PercentOffPpm = percentOffPpm, Budget = Euro(budget) };
        promotion.Skus.Add(skus);
        var created = await Running.Catalog.CreatePromotionAsync(new CreatePromotionRequest { Promotion = promotion }, cancellationToken: Cancellation);
        return created.Promotion;
    }

    protected QuoteRequest Basket(params (string Sku, long Quantity)[] lines)
    {
        var request = new QuoteRequest { CurrencyCode = "EUR", Jurisdiction = Jurisdiction };
        request.Lines.Add(lines.Select(l => new QuoteLine { Sku = l.Sku, Quantity = l.Quantity }));
        return request;
    }

    /// <summary>Waits until a node prices with a snapshot at least as new as the version.</summary>
    protected static async Task<QuoteResponse> WaitForVersionAsync(DataPlaneNode node, QuoteRequest request, long version) =>
        await Eventually.HoldsAsync(
            $"{node.Name} to price with version {version}",
            async () => await node.Pricing.QuoteAsync(request, cancellationToken: Cancellation),
            quote => quote.SnapshotVersion >= version,
            retryOn: Eventually.IsNotYet);

    private static Hybrid.Money.V1.Money Euro(long minorUnits, string currency = "EUR") => new() { CurrencyCode = currency, MinorUnits = minorUnits };
}

/// <summary>A test on the shared topology.</summary>
public abstract class TopologyTest(RunningTopology topology, ITestOutputHelper output) : SystemTest(topology, output)
{
    protected RunningTopology Topology { get; } = topology;
}
