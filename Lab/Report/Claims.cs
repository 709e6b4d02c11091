using Hybrid.Lab.Measuring;

namespace Hybrid.Lab.Report;

/// <summary>A figure of the article, and what it is compared with here: how many times the value of the one is that of the other.</summary>
/// <param name="Article">What the article says.</param>
/// <param name="Above">The variant whose value stands above the line, in <paramref name="Scenario"/>.</param>
/// <param name="From">The smallest ratio that agrees with the article.</param>
/// <param name="To">The largest.</param>
/// <param name="Why">Says what else was seen that explains the difference, if there is one.</param>
internal sealed record Claim(
    string Title, string Article, string Scenario, string Metric, string Above, string Below, double From, double To, Func<Findings, string> Why);

/// <summary>A limit that the product has set itself.</summary>
/// <param name="Below">Null where the value itself is limited.</param>
internal sealed record Target(string Title, string Scenario, string Metric, string Above, string? Below, double Limit, bool AtMost, string Unit);

internal static class Claims
{
    private const string Go = "Go", Axum = "Rust (Axum)", GoQuote = "Go, grpc-go", Careful = "Rust, data-plane", Tonic = "Rust, stock tonic";
    private static readonly string Small = Scenarios.ConvergenceScenario.Variant(Scenarios.ConvergenceScenario.Small), Large = Scenarios.ConvergenceScenario.Variant(Scenarios.ConvergenceScenario.Large);

    /// <summary>A figure without a range agrees within a fifth.</summary>
    private const double Tolerance = 0.2;

    public static IReadOnlyList<Claim> All { get; } =
    [
        Point("plaintext", "1.5× the requests (160k against 105k)", 1.5, "plaintext", Metric.CpuMicros, Go, Axum,
            found => $"In requests a second from the same cores it is {found.Ratio("plaintext", Metric.Throughput, Axum, Go)}; asked by h2load, the CPU differs by {found.Ratio("plaintext", Metric.H2loadCpuMicros, Go, Axum)}."),
        Point("JSON without I/O", "1.5× (CPU-bound)", 1.5, "json", Metric.CpuMicros, Go, Axum,
            found => $"Plaintext on the same servers: {found.Ratio("plaintext", Metric.CpuMicros, Go, Axum)}; the difference is what JSON adds."),
        new("JSON and Postgres", "the gap shrinks to 1.15–1.3×", "postgres", Metric.Throughput, Axum, Go, 1.15, 1.3,
            found => $"The server's own CPU still differs by {found.Ratio("postgres", Metric.CpuMicros, Go, Axum)}, but the wait for Postgres is the same for both."),
        Point("P99 under sustained load", "5× (1,550 against 310 ms)", 5, "sustained", Metric.P99, Go, Axum,
            found => $"With 512 callers in a closed loop a queue forms whose length follows throughput, which differs by {found.Ratio("sustained", Metric.Throughput, Axum, Go)}; the median wait differs by {found.Ratio("sustained", Metric.P50, Go, Axum)}; GOGC=400 changes Go's P99 by {found.Ratio("sustained", Metric.P99, "Go, GOGC=400", Go)}."),
        new("memory of the service under load", "2–4× (100–320 against 50–80 MB)", "sustained", Metric.LoadMemory, Go, Axum, 2, 4,
            found => $"In megabytes: {found.Value("sustained", Go, Metric.LoadMemory)} against {found.Value("sustained", Axum, Metric.LoadMemory)}."),
        Point("P99 at 15,000 requests a second", "4.3× (12 against 2.8 ms)", 12 / 2.8, "quote-15000", Metric.P99, GoQuote, Careful,
            found => $"In milliseconds: {found.Value("quote-15000", GoQuote, Metric.P99)} against {found.Value("quote-15000", Careful, Metric.P99)}; stock tonic {found.Value("quote-15000", Tonic, Metric.P99)}."),
        Point("memory at 15,000 requests a second", "4.3× (280 against 65 MB)", 280 / 65.0, "quote-15000", Metric.LoadMemory, GoQuote, Careful,
            found => $"In megabytes: {found.Value("quote-15000", GoQuote, Metric.LoadMemory)} against {found.Value("quote-15000", Careful, Metric.LoadMemory)}."),
        Point("the bill of a data pipeline", "−40%, that is 1.7× the CPU", 1 / 0.6, "metering", Metric.EventMicros, "Go, sarama", "Rust, metering",
            found => $"CPU per event, µs: {found.Value("metering", "Go, sarama", Metric.EventMicros)} against {found.Value("metering", "Rust, metering", Metric.EventMicros)}; memory {found.Ratio("metering", Metric.LoadMemory, "Go, sarama", "Rust, metering")}."),
        new("clean build", "Rust 8–15× (15–30 against < 2 s)", "build", Metric.ReleaseBuild, "Rust", "Go", 7.5, 15,
            found => $"In seconds: Rust {found.Value("build", "Rust", Metric.ReleaseBuild)}, Go {found.Value("build", "Go", Metric.ReleaseBuild)}, all libraries included and with every core."),
        new("build after a change", "Rust 2–5 s", "build", Metric.IncrementalBuild, "Rust", "Go", 1, 5,
            found => $"In seconds: Rust {found.Value("build", "Rust", Metric.IncrementalBuild)}, Go {found.Value("build", "Go", Metric.IncrementalBuild)}."),
        new("size of the program", "Go 1.9–2.7× (8–15 against 3–8 MB)", "build", Metric.BinarySize, "Go", "Rust", 1.5, 3,
            found => $"In megabytes: Go {found.Value("build", "Go", Metric.BinarySize)}, Rust {found.Value("build", "Rust", Metric.BinarySize)}, stripped."),
    ];

    public static IReadOnlyList<Target> Targets { get; } =
    [
        new("CPU per quote against a bare HTTP/2 server in C", "quote-cpu", Metric.CpuMicros, Careful, Scenarios.BareServer.Name, 2.0, AtMost: true, "×"),
        new("CPU per quote against the Go twin", "quote-cpu", Metric.CpuMicros, Careful, GoQuote, 0.3, AtMost: true, "×"),
        new("P99 at 15,000 a second against the Go twin", "quote-15000", Metric.P99, Careful, GoQuote, 1 / 3.0, AtMost: true, "×"),
        new("P99 at 15,000 a second", "quote-15000", Metric.P99, Careful, null, 5, AtMost: true, " ms"),
        new("memory at 15,000 a second against the Go twin", "quote-15000", Metric.LoadMemory, Careful, GoQuote, 1 / 3.0, AtMost: true, "×"),
        new("events per CPU-second of metering against the Go twin", "metering", Metric.EventMicros, "Go, sarama", "Rust, metering", 3, AtMost: false, "×"),
        new("P99 from the write of an item until 100 nodes have it", "convergence", Metric.P99, Large, null, 100, AtMost: true, " ms"),
        new("CPU of that change against the same in a small catalog", "convergence", Metric.ChangeMicros, Large, Small, 1.5, AtMost: true, "×"),
        new("bytes of that change against the same in a small catalog", "convergence", Metric.ChangeBytes, Large, Small, 1.1, AtMost: true, "×"),
    ];

    private static Claim Point(
        string title, string article, double ratio, string scenario, string metric, string above, string below, Func<Findings, string> why) =>
        new(title, article, scenario, metric, above, below, ratio * (1 - Tolerance), ratio * (1 + Tolerance), why);
}
