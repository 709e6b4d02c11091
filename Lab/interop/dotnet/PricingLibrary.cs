namespace Hybrid.Lab.PricingNative;

/// <summary>Where the library is, and what it does outside of quotes.</summary>
public static unsafe class PricingLibrary
{
    /// <summary>Path of the library. Null, as it is at first, leaves the search to the system. It is read when the library is first used.</summary>
    public static string? File { get; set; }

    /// <exception cref="NotSupportedException">The library has another interface than this wrapper.</exception>
    public static void EnsureVersion()
    {
        if (Native.hybrid_pricing_version() is var version && version != Native.Version)
            throw new NotSupportedException($"The pricing library has interface {version}, not {Native.Version}: build both from the same sources.");
    }

    /// <summary>Panics inside the library, which the caller sees as an exception.</summary>
    /// <exception cref="PricingException">Always, with code INTERNAL.</exception>
    public static void Panic()
    {
        Native.Error error;
        PricingException.ThrowIfFailed(Native.hybrid_pricing_panic(&error), &error);
    }

    /// <summary>Blocks the thread inside the library: no token, deadline or exception of the caller's ends it earlier.</summary>
    public static void Hang(TimeSpan time) => Native.hybrid_pricing_hang(checked((uint)time.TotalMilliseconds));
}

/// <summary>A call failed.</summary>
/// <param name="code">A code of gRPC.</param>
/// <param name="reason">Machine-readable, UPPER_SNAKE_CASE.</param>
/// <param name="field">Path of the field at fault, or empty.</param>
public sealed class PricingException(int code, string reason, string field) : Exception($"{reason} {field}".TrimEnd())
{
    public int Code { get; } = code;
    public string Reason { get; } = reason;
    public string Field { get; } = field;

    internal static unsafe void ThrowIfFailed(int code, Native.Error* error)
    {
        if (code == 0)
            return;
        var field = error->Field.ToString();
        throw new PricingException(code, error->Reason.ToString(), error->Index < 0 ? field : field.Replace("[]", $"[{error->Index}]", StringComparison.Ordinal));
    }
}
