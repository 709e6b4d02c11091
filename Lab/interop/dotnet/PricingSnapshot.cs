namespace Hybrid.Lab.PricingNative;

/// <summary>One line, priced, in minor units of the basket's currency. Laid out as the library writes it.</summary>
public readonly record struct QuotedLine(
    long UnitPriceMinor, long DiscountMinor, long NetMinor, long TaxMinor, long GrossMinor, long TaxRatePpm, NativeText Promotion, long PromotionCreatedVersion)
{
    /// <summary>The promotion that was granted, or empty. To be asked while the snapshot that priced the line is not disposed.</summary>
    public string PromotionId => Promotion.ToString();
}

/// <summary>Sums over the lines of a basket. Laid out as the library writes them.</summary>
public readonly record struct Totals(long SnapshotVersion, long DiscountMinor, long NetMinor, long TaxMinor, long GrossMinor);

/// <summary>What is asked, laid out once for any number of quotes. For one thread at a time.</summary>
public sealed unsafe class Basket : IDisposable
{
    private readonly Arena arena = new();
    private readonly Native.Request* request;

    public Basket(string currencyCode, string jurisdiction, IReadOnlyList<(string Sku, long Quantity)> lines, IReadOnlyList<string>? coupons = null)
    {
        request = (Native.Request*)arena.Allocate((nuint)sizeof(Native.Request));
        var all = (Native.Line*)arena.Allocate((nuint)(lines.Count * sizeof(Native.Line)));
        for (var i = 0; i < lines.Count; i++)
            all[i] = new Native.Line(arena.Text(lines[i].Sku), lines[i].Quantity);
        *request = new Native.Request
        {
            CurrencyCode = arena.Text(currencyCode),
            Jurisdiction = arena.Text(jurisdiction),
            Lines = all,
            LinesLength = (nuint)lines.Count,
            Coupons = arena.Texts(coupons ?? []),
            CouponsLength = (nuint)(coupons?.Count ?? 0),
        };
    }

    /// <summary>Number of lines, for which the answer needs room.</summary>
    public int Lines => checked((int)request->LinesLength);

    internal Native.Request* At(DateTimeOffset now)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        request->Now = Native.Instant.Of(now);
        return request;
    }

    private bool disposed;

    public void Dispose()
    {
        disposed = true;
        arena.Dispose();
    }
}

/// <summary>One state of the catalog, compiled for quotes. Any number of threads may ask it.</summary>
public sealed unsafe class PricingSnapshot : IDisposable
{
    private readonly SnapshotHandle handle;

    internal PricingSnapshot(SnapshotHandle handle) => this.handle = handle;

    /// <summary>Prices a basket, without allocating.</summary>
    /// <param name="lines">Room for as many lines as the basket has.</param>
    /// <exception cref="PricingException">The basket has no price; the first error in the order of <c>pricing.proto</c>.</exception>
    public Totals Quote(Basket basket, DateTimeOffset now, Span<QuotedLine> lines)
    {
        Native.Error error;
        Totals totals;
        int code;
        fixed (QuotedLine* room = lines)
            code = Native.hybrid_quote(handle, basket.At(now), room, (nuint)lines.Length, &totals, &error);
        PricingException.ThrowIfFailed(code, &error);
        return totals;
    }

    public void Dispose() => handle.Dispose();
}
