namespace Hybrid.Telemetry.Model;

/// <summary>What a metric was at one moment.</summary>
/// <param name="Time">The moment.</param>
/// <param name="Start">Since when it was counted; null when unknown.</param>
public abstract record MetricPoint(DateTimeOffset Time, DateTimeOffset? Start)
{
    /// <summary>The point as one number: of a distribution, how many values it has.</summary>
    public abstract double Value { get; }
}

/// <summary>A gauge or a sum.</summary>
public sealed record NumberPoint(DateTimeOffset Time, DateTimeOffset? Start, double Number) : MetricPoint(Time, Start)
{
    public override double Value => Number;
}

/// <summary>A distribution over fixed buckets. The last bucket has no upper bound.</summary>
public sealed record HistogramPoint(
    DateTimeOffset Time,
    DateTimeOffset? Start,
    ulong Count,
    double? Sum,
    double? Min,
    double? Max,
    IReadOnlyList<double> Bounds,
    IReadOnlyList<ulong> Buckets) : MetricPoint(Time, Start)
{
    public override double Value => Count;
}

/// <summary>A distribution over buckets whose bounds are powers of 2^(2^-scale).</summary>
public sealed record ExponentialHistogramPoint(
    DateTimeOffset Time,
    DateTimeOffset? Start,
    ulong Count,
    double? Sum,
    double? Min,
    double? Max,
    int Scale,
    ulong ZeroCount,
    double ZeroThreshold,
    ExponentialBuckets Positive,
    ExponentialBuckets Negative) : MetricPoint(Time, Start)
{
    public override double Value => Count;
}

/// <summary>Bucket <c>i</c> counts values in (base^(offset+i), base^(offset+i+1)].</summary>
public sealed record ExponentialBuckets(int Offset, IReadOnlyList<ulong> Counts);

/// <summary>Quantiles that the sender has computed itself.</summary>
public sealed record SummaryPoint(
    DateTimeOffset Time, DateTimeOffset? Start, ulong Count, double Sum, IReadOnlyDictionary<double, double> Quantiles) : MetricPoint(Time, Start)
{
    public override double Value => Count;
}
