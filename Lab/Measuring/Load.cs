using System.Text.Json;
using Hybrid.Lab.Running;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Measuring;

/// <summary>What the load generator prints at its end.</summary>
/// <param name="KeptUp">Whether it sent every call when it was due; null in a closed loop.</param>
internal sealed record LoadReport(
    long Sent, long Answered, Dictionary<string, long> Failed, bool? KeptUp, double AchievedRate, double GeneratorCores, LoadLatencies LatencyMicros,
    List<long[]>? HistogramMicros, LoadCounts WarmUp);

internal sealed record LoadLatencies(double P50, double P99, double P999);

internal sealed record LoadCounts(long Sent);

/// <summary>One load on one server, with what the kernel counted of the server meanwhile.</summary>
internal static class Load
{
    private static readonly TimeSpan Sampling = TimeSpan.FromMilliseconds(100);

    /// <param name="arguments">Of the generator, without target and times.</param>
    public static async Task<Measurement> RunAsync(
        string scenario, int round, Server server, Effort effort, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var command = Cores.Generator([
            Programs.Loadgen, "--target", server.Address, "--duration", Seconds(effort.Load), "--warm-up", Seconds(effort.WarmUp), "--histogram", .. arguments]);
        var before = server.Probe.Read();
        var peak = 0.0;
        var running = Subprocess.RunAsync(command[0], command[1..], cancellationToken: cancellationToken);
        while (await Task.WhenAny(running, Task.Delay(Sampling, cancellationToken)) != running)
            peak = Math.Max(peak, server.Probe.ResidentMegabytes());
        var run = await running;
        var after = server.Probe.Read();
        if (!run.Succeeded)
            throw new LabException($"The load generator failed on {server.Name}:\n{run.Tail()}");
        // Lines of progress may come before and after it.
        var json = run.Output.Split('\n').Single(line => line.StartsWith('{'));
        var report = JsonSerializer.Deserialize<LoadReport>(json, JsonSerializerOptions.Web)!;
        if (report.Answered == 0)
            throw new LabException($"{server.Name} answered none of {report.Sent} calls: {string.Join(", ", report.Failed)}. Its last lines:\n{server.Tail()}");
        // The server's work on the warm-up is counted too.
        var requests = (double)(report.Sent + report.WarmUp.Sent);
        var values = new Dictionary<string, double>
        {
            [Metric.CpuMicros] = (after.Cpu - before.Cpu).TotalMicroseconds / requests,
            [Metric.Throughput] = report.AchievedRate * report.Answered / report.Sent,
            [Metric.P50] = report.LatencyMicros.P50 / 1000,
            [Metric.P99] = report.LatencyMicros.P99 / 1000,
            [Metric.P999] = report.LatencyMicros.P999 / 1000,
            [Metric.LoadMemory] = peak,
            [Metric.Switches] = (after.Switches - before.Switches) / requests * 1000,
            [Metric.Failed] = report.Failed.Values.Sum(),
            [Metric.GeneratorCores] = report.GeneratorCores,
        };
        if (report.KeptUp is { } keptUp)
            values[Metric.KeptUp] = keptUp ? 1 : 0;
        return new Measurement(scenario, server.Name, round, values) { Histogram = Coarse(report.HistogramMicros ?? []) };
    }

    /// <summary>The histogram to two significant digits, which a chart shows. The percentiles beside it are the generator's own.</summary>
    private static IReadOnlyList<long[]> Coarse(IEnumerable<long[]> buckets) =>
        [.. buckets.GroupBy(bucket => ToTwoDigits(bucket[0])).OrderBy(group => group.Key).Select(group => new[] { group.Key, group.Sum(bucket => bucket[1]) })];

    private static long ToTwoDigits(long value)
    {
        var step = 1L;
        while (value / step >= 100)
            step *= 10;
        return value / step * step;
    }

    private static string Seconds(TimeSpan time) => $"{(long)time.TotalMilliseconds}ms";
}
