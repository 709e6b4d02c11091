using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Hybrid.Lab.PricingNative;

/// <summary>The C interface as <c>hybrid_pricing.h</c> declares it.</summary>
internal static unsafe partial class Native
{
    public const uint Version = 1;

    private const string Library = "hybrid_pricing";

    static Native() => NativeLibrary.SetDllImportResolver(Assembly.GetExecutingAssembly(), (name, assembly, search) =>
        name == Library && PricingLibrary.File is { } file ? NativeLibrary.Load(file) : NativeLibrary.Load(name, assembly, search));

    [LibraryImport(Library)]
    public static partial uint hybrid_pricing_version();

    [LibraryImport(Library)]
    public static partial int hybrid_pricing_panic(Error* error);

    [LibraryImport(Library)]
    public static partial void hybrid_pricing_hang(uint milliseconds);

    [LibraryImport(Library)]
    public static partial nint hybrid_catalog_new();

    [LibraryImport(Library)]
    public static partial void hybrid_catalog_free(nint catalog);

    [LibraryImport(Library)]
    public static partial nint hybrid_catalog_finish(nint catalog, long version);

    [LibraryImport(Library)]
    public static partial int hybrid_catalog_put_item(CatalogHandle catalog, NativeText sku, NativeText currencyCode, long priceMinor, NativeText taxCategory, Error* error);

    [LibraryImport(Library)]
    public static partial int hybrid_catalog_put_tax_rule(CatalogHandle catalog, NativeText jurisdiction, NativeText category, long ratePpm, Error* error);

    [LibraryImport(Library)]
    public static partial int hybrid_catalog_put_promotion(CatalogHandle catalog, Promotion* promotion, Error* error);

    [LibraryImport(Library)]
    public static partial void hybrid_snapshot_free(nint snapshot);

    [LibraryImport(Library)]
    public static partial int hybrid_quote(SnapshotHandle snapshot, Request* request, QuotedLine* lines, nuint linesCapacity, Totals* totals, Error* error);

    public readonly record struct Error(int Code, long Index, NativeText Reason, NativeText Field);

    public readonly record struct Instant(long Seconds, int Nanos)
    {
        public static Instant Of(DateTimeOffset time)
        {
            var ticks = time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks;
            var seconds = Math.DivRem(ticks, TimeSpan.TicksPerSecond, out var rest);
            return rest < 0 ? new(seconds - 1, (int)(rest + TimeSpan.TicksPerSecond) * 100) : new(seconds, (int)rest * 100);
        }
    }

    public struct Promotion
    {
        public NativeText PromotionId;
        public long CreatedVersion;
        public long PercentOffPpm;
        public long AmountOffMinor;
        public NativeText* Skus;
        public nuint SkusLength;
        public NativeText Coupon;
        public long MinQuantity;
        public Instant* StartsAt;
        public Instant* EndsAt;
        public NativeText BudgetCurrency;
        public long BudgetMinor;
        public byte Exhausted;
    }

    public struct Request
    {
        public NativeText CurrencyCode;
        public NativeText Jurisdiction;
        public Line* Lines;
        public nuint LinesLength;
        public NativeText* Coupons;
        public nuint CouponsLength;
        public Instant Now;
    }

    public readonly record struct Line(NativeText Sku, long Quantity);
}

/// <summary>Text of the library's or lent to it.</summary>
public readonly unsafe struct NativeText
{
    internal readonly byte* Data;
    internal readonly nuint Length;

    internal NativeText(byte* data, nuint length)
    {
        Data = data;
        Length = length;
    }

    public override string ToString() => Length == 0 ? "" : System.Text.Encoding.UTF8.GetString(Data, checked((int)Length));
}

/// <summary>Owns a catalog in the making.</summary>
internal sealed class CatalogHandle() : SafeHandle(0, ownsHandle: true)
{
    public static CatalogHandle Create()
    {
        PricingLibrary.EnsureVersion();
        var handle = new CatalogHandle();
        handle.SetHandle(Native.hybrid_catalog_new());
        return handle;
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Turns it into a snapshot, which owns everything then.</summary>
    public SnapshotHandle Finish(long version)
    {
        ObjectDisposedException.ThrowIf(IsClosed || IsInvalid, this);
        var snapshot = new SnapshotHandle(Native.hybrid_catalog_finish(handle, version));
        SetHandleAsInvalid();
        return snapshot;
    }

    protected override bool ReleaseHandle()
    {
        Native.hybrid_catalog_free(handle);
        return true;
    }
}

/// <summary>Owns a snapshot. A call that reads it keeps it alive.</summary>
internal sealed class SnapshotHandle : SafeHandle
{
    public SnapshotHandle(nint snapshot) : base(0, ownsHandle: true) => SetHandle(snapshot);

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        Native.hybrid_snapshot_free(handle);
        return true;
    }
}
