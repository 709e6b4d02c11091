using System.Text;

namespace Hybrid.Lab.PricingNative;

/// <summary>The terms of a promotion; <c>catalog.proto</c> says what they mean.</summary>
public sealed record PromotionTerms(string PromotionId, string BudgetCurrency, long BudgetMinor)
{
    public long CreatedVersion { get; init; }
    public long PercentOffPpm { get; init; }
    public long AmountOffMinor { get; init; }
    public IReadOnlyList<string> Skus { get; init; } = [];
    public string Coupon { get; init; } = "";
    public long MinQuantity { get; init; }
    public DateTimeOffset? StartsAt { get; init; }
    public DateTimeOffset? EndsAt { get; init; }
    public bool Exhausted { get; init; }
}

/// <summary>A catalog in the making. For one thread at a time.</summary>
public sealed unsafe class PricingCatalog : IDisposable
{
    private readonly CatalogHandle handle = CatalogHandle.Create();

    /// <exception cref="PricingException">The item cannot be used.</exception>
    public void Put(string sku, string currencyCode, long priceMinor, string taxCategory = "")
    {
        using var arena = new Arena();
        Native.Error error;
        PricingException.ThrowIfFailed(
            Native.hybrid_catalog_put_item(handle, arena.Text(sku), arena.Text(currencyCode), priceMinor, arena.Text(taxCategory), &error), &error);
    }

    /// <exception cref="PricingException">The rule cannot be used.</exception>
    public void PutTaxRule(string jurisdiction, string category, long ratePpm)
    {
        using var arena = new Arena();
        Native.Error error;
        PricingException.ThrowIfFailed(Native.hybrid_catalog_put_tax_rule(handle, arena.Text(jurisdiction), arena.Text(category), ratePpm, &error), &error);
    }

    /// <exception cref="PricingException">The promotion cannot be used.</exception>
    public void Put(PromotionTerms terms)
    {
        using var arena = new Arena();
        Native.Error error;
        var (starts, ends) = (Native.Instant.Of(terms.StartsAt.GetValueOrDefault()), Native.Instant.Of(terms.EndsAt.GetValueOrDefault()));
        var promotion = new Native.Promotion
        {
            PromotionId = arena.Text(terms.PromotionId),
            CreatedVersion = terms.CreatedVersion,
            PercentOffPpm = terms.PercentOffPpm,
            AmountOffMinor = terms.AmountOffMinor,
            Skus = arena.Texts(terms.Skus),
            SkusLength = (nuint)terms.Skus.Count,
            Coupon = arena.Text(terms.Coupon),
            MinQuantity = terms.MinQuantity,
            StartsAt = terms.StartsAt is null ? null : &starts,
            EndsAt = terms.EndsAt is null ? null : &ends,
            BudgetCurrency = arena.Text(terms.BudgetCurrency),
            BudgetMinor = terms.BudgetMinor,
            Exhausted = terms.Exhausted ? (byte)1 : (byte)0,
        };
        PricingException.ThrowIfFailed(Native.hybrid_catalog_put_promotion(handle, &promotion, &error), &error);
    }

    /// <summary>The catalog as a snapshot; nothing can be added any more.</summary>
    public PricingSnapshot Finish(long version) => new(handle.Finish(version));

    public void Dispose() => handle.Dispose();
}

/// <summary>Memory outside the collector's reach, for what is lent to the library. Everything in it ends with it.</summary>
internal sealed unsafe class Arena : IDisposable
{
    private readonly List<nint> blocks = [];

    ~Arena() => Free();

    public NativeText Text(string text)
    {
        var length = Encoding.UTF8.GetByteCount(text);
        var data = (byte*)Allocate((nuint)length);
        Encoding.UTF8.GetBytes(text, new Span<byte>(data, length));
        return new NativeText(data, (nuint)length);
    }

    public NativeText* Texts(IReadOnlyList<string> texts)
    {
        var all = (NativeText*)Allocate((nuint)(texts.Count * sizeof(NativeText)));
        for (var i = 0; i < texts.Count; i++)
            all[i] = Text(texts[i]);
        return all;
    }

    public void* Allocate(nuint size)
    {
        var block = System.Runtime.InteropServices.NativeMemory.Alloc(Math.Max(size, 1));
        blocks.Add((nint)block);
        return block;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        foreach (var block in blocks)
            System.Runtime.InteropServices.NativeMemory.Free((void*)block);
        blocks.Clear();
    }
}
