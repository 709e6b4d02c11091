namespace Hybrid.Lab.Measuring;

/// <summary>What was seen of one variant in one round.</summary>
/// <param name="Variant">The twin, by its name.</param>
/// <param name="Round">Counted from 1; variants of one round ran next to each other.</param>
/// <param name="Values">By the name of a metric, whose last part is its unit.</param>
internal sealed record Measurement(string Scenario, string Variant, int Round, IReadOnlyDictionary<string, double> Values)
{
    /// <summary>Latencies in microseconds with the number of calls that took so long.</summary>
    public IReadOnlyList<long[]>? Histogram { get; init; }

    /// <summary>What could not be measured, and why.</summary>
    public string? Note { get; init; }
}

/// <summary>Names of metrics. What a metric means stands in the report.</summary>
internal static class Metric
{
    public const string CpuMicros = "CPU per request, µs";
    public const string H2loadCpuMicros = "CPU per request of h2load, µs";
    public const string Throughput = "requests a second";
    public const string P50 = "P50, ms";
    public const string P99 = "P99, ms";
    public const string P999 = "P99.9, ms";
    public const string IdleMemory = "resident memory idle, MB";
    public const string LoadMemory = "resident memory under load, MB";
    public const string Switches = "context switches per 1,000 requests";
    public const string Start = "start to first answer, ms";
    public const string Failed = "failed requests";
    public const string GeneratorCores = "cores that the generator used";
    public const string KeptUp = "generator kept up";
    public const string EventMicros = "CPU per event, µs";
    public const string ChangeMicros = "CPU per change, µs";
    public const string ChangeBytes = "bytes to all nodes per change";
    public const string WholeCpu = "CPU to send the whole catalog to all nodes, ms";
    public const string CallNanos = "time per call, ns";
    public const string Allocated = "bytes allocated per call";
    public const string CleanBuild = "clean build, s";
    public const string IncrementalBuild = "build after a change, s";
    public const string ReleaseBuild = "clean build as deployed, s";
    public const string CrossBuild = "clean build for arm64, s";
    public const string BinarySize = "stripped binary, MB";
}
