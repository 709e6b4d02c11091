using System.Globalization;
using System.Text.RegularExpressions;
using Hybrid.Lab.Running;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Measuring;

/// <summary>nghttp2's load generator, in a closed loop. It takes any answer, so it can ask servers that know no gRPC, and it checks what the Lab's own generator says.</summary>
internal static partial class H2load
{
    private static readonly TimeSpan Sampling = TimeSpan.FromMilliseconds(50);

    public static bool IsHere { get; } = Subprocess.Find("h2load") is not null;

    /// <summary>Loads a server with a number of requests, after a fifth of them as warm-up.</summary>
    /// <param name="arguments">What is asked, and over how many connections.</param>
    /// <exception cref="LabException">Not all answers were good.</exception>
    public static async Task<Measurement> RunAsync(
        string scenario, int round, Server server, int requests, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        await AskAsync(requests / 5, arguments, cancellationToken);
        var (before, peak) = (server.Probe.Read(), 0.0);
        var running = AskAsync(requests, arguments, cancellationToken);
        while (await Task.WhenAny(running, Task.Delay(Sampling, cancellationToken)) != running)
            peak = Math.Max(peak, server.Probe.ResidentMegabytes());
        var throughput = await running;
        var after = server.Probe.Read();
        return new Measurement(scenario, server.Name, round, new Dictionary<string, double>
        {
            [Metric.CpuMicros] = (after.Cpu - before.Cpu).TotalMicroseconds / requests,
            [Metric.Throughput] = throughput,
            [Metric.LoadMemory] = Math.Max(peak, server.Probe.ResidentMegabytes()),
            [Metric.Switches] = (after.Switches - before.Switches) * 1000.0 / requests,
        });
    }

    /// <returns>Requests a second.</returns>
    private static async Task<double> AskAsync(int requests, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var command = Cores.Generator(["h2load", "-t", "1", "-n", $"{requests}", .. arguments]);
        var run = await Subprocess.RunAsync(command[0], command[1..], cancellationToken: cancellationToken);
        var rate = Rate().Match(run.Output);
        if (!run.Succeeded || !rate.Success || !run.Output.Contains($" {requests} succeeded, 0 failed, 0 errored", StringComparison.Ordinal))
            throw new LabException($"h2load did not get {requests} good answers from {arguments[^1]}:\n{run.Tail()}");
        return double.Parse(rate.Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"finished in \S+, ([0-9.]+) req/s")]
    private static partial Regex Rate();
}
