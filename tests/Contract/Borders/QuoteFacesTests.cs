using System.Text;
using CsCheck;
using Google.Protobuf;
using Grpc.Core;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Planes;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>A quote is the same over gRPC and JSON, on every replica, and the same as the oracle's.</summary>
public sealed class QuoteFacesTests(BarePlanes planes, ITestOutputHelper output) : PlanesTest(planes, output)
{
    protected override IReadOnlyList<string> Concerned => ["data-plane-1", "data-plane-2"];

    [Fact]
    public async Task JSON_and_gRPC_answer_alike()
    {
        var request = await StockedBasketAsync();
        var overGrpc = await Planes.Nodes[0].Pricing.QuoteAsync(request, cancellationToken: Cancellation);
        Assert.Equal(Comparable(overGrpc), Comparable(await QuoteJsonAsync(Planes.Nodes[0], request)));
        Assert.Equal(Comparable(overGrpc), Comparable(await QuoteJsonAsync(Planes.Nodes[1], request)));
    }

    [Fact]
    public async Task Random_baskets_are_priced_as_the_oracle_prices_them()
    {
        var (catalog, version) = await RandomCatalogAsync();
        await WaitForVersionAsync(Planes.Nodes[0], Basket((catalog.Items[0].Sku, 1)), version);
        var line = Gen.Select(Gen.Int[0, catalog.Items.Count - 1], Gen.Long[1, 10_000]).Select((i, quantity) => (catalog.Items[i].Sku, quantity));
        var baskets = Gen.Select(line.Array[1, 20], Gen.Int[0, 2].Select(i => ((string[])["", "SAVE", "OTHER"])[i])).Select((lines, coupon) =>
        {
            var basket = Basket(lines);
            if (coupon.Length > 0)
                basket.Coupons.Add(coupon);
            return basket;
        });

        await baskets.SampleAsync(async basket =>
        {
            string expected, actual;
            try
            {
                expected = PricingOracle.Quote(catalog, basket, DateTimeOffset.UtcNow).ToString();
            }
            catch (QuoteRejectedException e)
            {
                expected = $"{e.Code}";
            }
            try
            {
                actual = Comparable(await Planes.Nodes[0].Pricing.QuoteAsync(basket, cancellationToken: Cancellation)).ToString();
            }
            catch (RpcException e)
            {
                actual = $"{e.StatusCode}";
            }
            return expected == actual;
        }, iter: 500, threads: 4);
    }

    private async Task<(OracleCatalog Catalog, long Version)> RandomCatalogAsync()
    {
        List<TaxRule> rules = [await CreateTaxRuleAsync(190_000), await CreateTaxRuleAsync(70_001, "reduced")];
        List<Item> items = [];
        foreach (var price in (long[])[0, 1, 3, 99, 1_999, 1_000_000_000])
            items.Add(await CreateItemAsync(price, category: price % 2 == 1 ? "reduced" : ""));
        List<Promotion> promotions = [];
        foreach (var promotion in (Promotion[])
                 [
                     new() { PercentOffPpm = 333_333 }, new() { PercentOffPpm = 500_000, MinQuantity = 10 }, new() { AmountOffMinor = 7, Coupon = "SAVE" },
                     new() { AmountOffMinor = 1_000_000_000_000, Coupon = "OTHER", MinQuantity = 100 },
                 ])
        {
            promotion.PromotionId = UniqueName("promotion");
            promotion.Name = "Random";
            promotion.Skus.Add(items.Select(i => i.Sku));
            promotion.Budget = new() { CurrencyCode = "EUR", MinorUnits = long.MaxValue / 4 };
            promotions.Add((await Planes.Catalog.CreatePromotionAsync(new() { Promotion = promotion }, cancellationToken: Cancellation)).Promotion);
        }
        return (new OracleCatalog(items, rules, promotions), promotions[^1].Version);
    }

    private async Task<QuoteRequest> StockedBasketAsync()
    {
        var item = await CreateItemAsync(1_999);
        await CreateTaxRuleAsync(190_000);
        var promotion = await CreatePromotionAsync(100_000, 1_000_000, item.Sku);
        var request = Basket((item.Sku, 3));
        foreach (var node in Planes.Nodes)
            await WaitForVersionAsync(node, request, promotion.Version);
        return request;
    }

    private async Task<QuoteResponse> QuoteJsonAsync(DataPlaneNode node, QuoteRequest request)
    {
        using var content = new StringContent(JsonFormatter.Default.Format(request), Encoding.UTF8, "application/json");
        using var response = await Planes.Http.PostAsync(new Uri(node.Http, "/v1/quotes"), content, Cancellation);
        var text = await response.Content.ReadAsStringAsync(Cancellation);
        Assert.True(response.IsSuccessStatusCode, text);
        return QuoteResponse.Parser.ParseJson(text);
    }

    private static QuoteResponse Comparable(QuoteResponse quote)
    {
        var comparable = quote.Clone();
        comparable.QuoteId = "";
        comparable.SnapshotVersion = 0;
        comparable.PricedAt = null;
        return comparable;
    }
}
