using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Grpc.Core;
using Hybrid.Catalog.V1;
using Hybrid.Lab.PricingNative;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Pricing;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Lab;

/// <summary>The pricing core in the process of its callers: .NET and Go, on the vectors that every language runs.</summary>
public sealed class InteropTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const string Package = "pricing-ffi";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static TheoryData<string> Cases => new(Vectors.Pricing.Keys);

    public async ValueTask InitializeAsync()
    {
        await Programs.BuildRustAsync([Package], Progress.Silent, cancellationToken: Cancellation);
        PricingLibrary.File ??= Programs.Rust("libhybrid_pricing" + (OperatingSystem.IsMacOS() ? ".dylib" : ".so"));
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Pricing_from_dotnet(string name)
    {
        var vector = Vectors.Pricing[name];
        using var snapshot = SnapshotOf(vector);
        var request = QuoteRequest.Parser.ParseJson(vector["request"]!.ToJsonString());
        using var basket = new Basket(request.CurrencyCode, request.Jurisdiction, [.. request.Lines.Select(line => (line.Sku, line.Quantity))], request.Coupons);
        var now = DateTimeOffset.Parse((string)vector["now"]!, CultureInfo.InvariantCulture);
        var lines = new QuotedLine[request.Lines.Count];

        if (vector["error"] is { } error)
        {
            var failed = Assert.Throws<PricingException>(() => snapshot.Quote(basket, now, lines));
            Assert.Equal(
                (Enum.Parse<StatusCode>(((string)error["code"]!).Replace("_", ""), ignoreCase: true), (string)error["reason"]!, (string?)error["field"] ?? ""),
                ((StatusCode)failed.Code, failed.Reason, failed.Field));
            return;
        }
        var expected = QuoteResponse.Parser.ParseJson(vector["response"]!.ToJsonString());
        Assert.Equal(new Totals(1, expected.DiscountMinor, expected.NetMinor, expected.TaxMinor, expected.GrossMinor), snapshot.Quote(basket, now, lines));
        Assert.Equal(
            expected.Lines.Select(line => (line.UnitPriceMinor, line.DiscountMinor, line.NetMinor, line.TaxMinor, line.GrossMinor, line.TaxRatePpm, line.PromotionId, line.PromotionCreatedVersion)),
            lines.Select(line => (line.UnitPriceMinor, line.DiscountMinor, line.NetMinor, line.TaxMinor, line.GrossMinor, line.TaxRatePpm, line.PromotionId, line.PromotionCreatedVersion)));
    }

    [Fact]
    public void A_quote_from_dotnet_allocates_nothing()
    {
        using var catalog = new PricingCatalog();
        catalog.Put("mug", "EUR", 1_000);
        catalog.PutTaxRule("DE", "standard", 190_000);
        using var snapshot = catalog.Finish(1);
        using var basket = new Basket("EUR", "DE", [("mug", 2)]);
        Span<QuotedLine> lines = stackalloc QuotedLine[1];
        snapshot.Quote(basket, DateTimeOffset.UnixEpoch, lines);
        var (before, sum) = (GC.GetAllocatedBytesForCurrentThread(), 0L);
        for (var i = 0; i < 1_000; i++)
            sum += snapshot.Quote(basket, DateTimeOffset.UnixEpoch, lines).GrossMinor;
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(1_000 * 2_380, sum);
    }

    [Fact]
    public void What_is_disposed_cannot_be_used()
    {
        var catalog = new PricingCatalog();
        var snapshot = catalog.Finish(1);
        Assert.Throws<ObjectDisposedException>(() => catalog.Put("mug", "EUR", 1));
        Assert.Throws<ObjectDisposedException>(() => catalog.Finish(2));
        var basket = new Basket("EUR", "DE", [("mug", 1)]);
        snapshot.Dispose();
        Assert.Throws<ObjectDisposedException>(() => snapshot.Quote(basket, DateTimeOffset.UnixEpoch, new QuotedLine[1]));
        basket.Dispose();
        using var other = new PricingCatalog().Finish(1);
        Assert.Throws<ObjectDisposedException>(() => other.Quote(basket, DateTimeOffset.UnixEpoch, new QuotedLine[1]));
    }

    [Fact]
    public void A_panic_is_an_exception()
    {
        var failed = Assert.Throws<PricingException>(PricingLibrary.Panic);
        Assert.Equal((StatusCode.Internal, "PANIC"), ((StatusCode)failed.Code, failed.Reason));
    }

    [Theory]
    [InlineData("-race")]
    [InlineData("-asan")]
    public async Task Pricing_from_Go(string detector)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Subprocess.Find("gcc") is not null, "cgo with its detectors needs gcc on Linux. Install gcc.");
        var go = await Setup.GoAsync(Progress.Silent, Cancellation);
        Dictionary<string, string?> environment = new([.. go.Environment, Programs.CgoLinks(), new("CC", "gcc")]);
        var run = await Subprocess.RunAsync(
            go.Program, ["test", detector, "-count=1", "./..."], Path.Combine(Workspace.Root, "Lab/interop/go"), environment, cancellationToken: Cancellation);
        output.WriteLine(run.Output);
        Assert.True(run.Succeeded, run.Tail(60));
        Assert.Contains("ok  \thybrid/interop/pricing", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_border_is_clean_under_the_address_sanitizer()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && RuntimeInformation.OSArchitecture == Architecture.X64, "The sanitizer is used on Linux x64 alone.");
        var rust = await Setup.RustAsync(Progress.Silent, Cancellation);
        // The stable compiler has the sanitizer, but reserves its option.
        var environment = new Dictionary<string, string?>(rust.Environment)
        {
            ["RUSTC_BOOTSTRAP"] = "1",
            ["RUSTFLAGS"] = "-Zsanitizer=address",
            ["CARGO_TARGET_DIR"] = Path.Combine(Workspace.PrivateFolder, "target/asan"),
        };
        var run = await Subprocess.RunAsync(
            rust.Program, ["test", "-p", Package, "--test", "border", "--target", "x86_64-unknown-linux-gnu"], rust.WorkspaceFolder, environment, cancellationToken: Cancellation);
        output.WriteLine(run.Output);
        Assert.True(run.Succeeded, run.Tail(60));
        Assert.Contains("test result: ok.", run.Output, StringComparison.Ordinal);
    }

    private static PricingSnapshot SnapshotOf(JsonNode vector)
    {
        using var catalog = new PricingCatalog();
        foreach (var item in Vectors.Messages<Item>(vector, "items"))
            catalog.Put(item.Sku, item.UnitPrice.CurrencyCode, item.UnitPrice.MinorUnits, item.TaxCategory);
        foreach (var rule in Vectors.Messages<TaxRule>(vector, "taxRules"))
            catalog.PutTaxRule(rule.Jurisdiction, rule.Category, rule.RatePpm);
        foreach (var promotion in Vectors.Messages<Promotion>(vector, "promotions"))
        {
            catalog.Put(new PromotionTerms(promotion.PromotionId, promotion.Budget.CurrencyCode, promotion.Budget.MinorUnits)
            {
                CreatedVersion = promotion.CreatedVersion,
                PercentOffPpm = promotion.PercentOffPpm,
                AmountOffMinor = promotion.AmountOffMinor,
                Skus = promotion.Skus,
                Coupon = promotion.Coupon,
                MinQuantity = promotion.MinQuantity,
                StartsAt = promotion.StartsAt?.ToDateTimeOffset(),
                EndsAt = promotion.EndsAt?.ToDateTimeOffset(),
                Exhausted = promotion.Exhausted,
            });
        }
        return catalog.Finish(1);
    }
}
