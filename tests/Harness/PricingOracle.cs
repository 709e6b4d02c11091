using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using Grpc.Core;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Harness;

/// <summary>The catalog that a quote is priced under.</summary>
internal sealed record OracleCatalog(IReadOnlyList<Item> Items, IReadOnlyList<TaxRule> TaxRules, IReadOnlyList<Promotion> Promotions);

/// <summary>An error of the table in pricing.proto.</summary>
internal sealed class QuoteRejectedException(StatusCode code, string reason, string path) : Exception($"{code} {reason} {path}")
{
    public StatusCode Code => code;
    public string Reason => reason;
    public string Field => path;
}

/// <summary>
/// The pricing rules of pricing.proto a third time, written for plainness: unbounded integers, linear searches, nothing shared
/// with the implementations that it judges.
/// </summary>
internal static class PricingOracle
{
    private const string NameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    private const string JurisdictionCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

    /// <exception cref="QuoteRejectedException">The first error, in the order of the table.</exception>
    public static QuoteResponse Quote(OracleCatalog catalog, QuoteRequest request, DateTimeOffset now)
    {
        CheckRequest(request);
        var response = new QuoteResponse { CurrencyCode = request.CurrencyCode, Jurisdiction = request.Jurisdiction };
        for (var i = 0; i < request.Lines.Count; i++)
            response.Lines.Add(PriceLine(catalog, request, i, now));

        response.DiscountMinor = Total(response, line => line.DiscountMinor);
        response.NetMinor = Total(response, line => line.NetMinor);
        response.TaxMinor = Total(response, line => line.TaxMinor);
        response.GrossMinor = Total(response, line => line.GrossMinor);
        return response;
    }

    /// <summary>amount × ppm / 1,000,000, rounded half away from zero.</summary>
    public static BigInteger Share(BigInteger amount, BigInteger ppm)
    {
        var (quotient, remainder) = BigInteger.DivRem(BigInteger.Abs(amount * ppm), 1_000_000);
        var rounded = remainder * 2 >= 1_000_000 ? quotient + 1 : quotient;
        return (amount * ppm).Sign < 0 ? -rounded : rounded;
    }

    private static void CheckRequest(QuoteRequest request)
    {
        RequireValid(request.CurrencyCode.Length == 3 && request.CurrencyCode.All(char.IsAsciiLetterUpper), "CURRENCY_INVALID", "currency_code");
        RequireValid(
            request.Jurisdiction.Length is >= 2 and <= 16 && request.Jurisdiction.All(JurisdictionCharacters.Contains), "JURISDICTION_INVALID", "jurisdiction");
        RequireValid(request.Lines.Count is >= 1 and <= 200, "LINES_INVALID", "lines");
        RequireValid(request.Coupons.Count <= 16, "COUPONS_INVALID", "coupons");
        for (var i = 0; i < request.Coupons.Count; i++)
            RequireValid(IsName(request.Coupons[i]), "COUPONS_INVALID", $"coupons[{i}]");
    }

    private static PricedLine PriceLine(OracleCatalog catalog, QuoteRequest request, int index, DateTimeOffset now)
    {
        var line = request.Lines[index];
        var path = $"lines[{index}]";
        RequireValid(IsName(line.Sku), "SKU_INVALID", path + ".sku");
        RequireValid(line.Quantity is >= 1 and <= 1_000_000, "QUANTITY_INVALID", path + ".quantity");
        var item = catalog.Items.FirstOrDefault(i => i.Sku == line.Sku);
        Require(item is not null, StatusCode.NotFound, "SKU_UNKNOWN", path + ".sku");
        Require(item.UnitPrice.CurrencyCode == request.CurrencyCode, StatusCode.FailedPrecondition, "CURRENCY_MISMATCH", path + ".sku");
        var rule = catalog.TaxRules.FirstOrDefault(r => r.Jurisdiction == request.Jurisdiction && Category(r.Category) == Category(item.TaxCategory));
        Require(rule is not null, StatusCode.NotFound, "TAX_RULE_UNKNOWN", "jurisdiction");

        var list = (BigInteger)item.UnitPrice.MinorUnits * line.Quantity;
        // The best discount wins; among equals, the id that comes first.
        var (discount, promotion, created) = catalog.Promotions.Where(p => Applies(p, request, line, now))
            .Select(p => (Discount: DiscountOf(p, line, list), p.PromotionId, p.CreatedVersion)).Where(d => d.Discount > 0)
            .OrderByDescending(d => d.Discount).ThenBy(d => d.PromotionId, StringComparer.Ordinal)
            .FirstOrDefault((BigInteger.Zero, "", 0));
        var net = list - discount;
        var tax = Share(net, rule.RatePpm);
        foreach (var amount in (BigInteger[])[list, discount, net, tax, net + tax])
            Require(Fits(amount), StatusCode.OutOfRange, "AMOUNT_OVERFLOW", path);
        return new PricedLine
        {
            Sku = line.Sku,
            Quantity = line.Quantity,
            UnitPriceMinor = item.UnitPrice.MinorUnits,
            DiscountMinor = (long)discount,
            NetMinor = (long)net,
            TaxMinor = (long)tax,
            GrossMinor = (long)(net + tax),
            TaxRatePpm = rule.RatePpm,
            PromotionId = promotion,
            PromotionCreatedVersion = created,
        };
    }

    private static bool Applies(Promotion promotion, QuoteRequest request, QuoteLine line, DateTimeOffset now) =>
        promotion.Budget.CurrencyCode == request.CurrencyCode
        && !promotion.Exhausted
        && (promotion.StartsAt is null || promotion.StartsAt.ToDateTimeOffset() <= now)
        && (promotion.EndsAt is null || now < promotion.EndsAt.ToDateTimeOffset())
        && (promotion.Skus.Count == 0 || promotion.Skus.Contains(line.Sku))
        && line.Quantity >= promotion.MinQuantity
        && (promotion.Coupon.Length == 0 || request.Coupons.Contains(promotion.Coupon));

    private static BigInteger DiscountOf(Promotion promotion, QuoteLine line, BigInteger list) =>
        promotion.DiscountCase == Promotion.DiscountOneofCase.PercentOffPpm
            ? Share(list, promotion.PercentOffPpm)
            : BigInteger.Min(list, (BigInteger)promotion.AmountOffMinor * line.Quantity);

    private static long Total(QuoteResponse response, Func<PricedLine, long> amount)
    {
        var total = response.Lines.Aggregate(BigInteger.Zero, (sum, line) => sum + amount(line));
        Require(Fits(total), StatusCode.OutOfRange, "AMOUNT_OVERFLOW", "lines");
        return (long)total;
    }

    private static string Category(string category) => category.Length == 0 ? "standard" : category;

    private static bool IsName(string text) => text.Length is >= 1 and <= 64 && text is not ("." or "..") && text.All(NameCharacters.Contains);

    private static bool Fits(BigInteger amount) => amount >= long.MinValue && amount <= long.MaxValue;

    private static void RequireValid(bool condition, string reason, string field) => Require(condition, StatusCode.InvalidArgument, reason, field);

    private static void Require([DoesNotReturnIf(false)] bool condition, StatusCode code, string reason, string field)
    {
        if (!condition)
            throw new QuoteRejectedException(code, reason, field);
    }
}
