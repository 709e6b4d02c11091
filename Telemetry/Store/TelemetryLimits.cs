namespace Hybrid.Telemetry.Store;

/// <summary>How much of the recent past is kept. When something new comes, the oldest goes.</summary>
public sealed record TelemetryLimits
{
    public int MaxSpans { get; init; } = 100_000;

    /// <summary>Counted in bytes on the wire; in memory it is a small multiple.</summary>
    public long MaxSpanBytes { get; init; } = 64 << 20;

    public int MaxLogs { get; init; } = 100_000;

    /// <inheritdoc cref="MaxSpanBytes"/>
    public long MaxLogBytes { get; init; } = 32 << 20;

    /// <summary>Beyond it, the series that has been silent longest goes.</summary>
    public int MaxSeries { get; init; } = 20_000;

    /// <summary>Points kept of each series.</summary>
    public int MaxPointsPerSeries { get; init; } = 60;
}
