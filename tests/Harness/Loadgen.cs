using System.Text.Json;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>Percentiles in microseconds.</summary>
public sealed record Latencies(double P50, double P99);

/// <summary>What the load generator reports at its end.</summary>
/// <param name="Failed">Calls without an answer, by gRPC status.</param>
/// <param name="GrossMinor">Sum of the answered quotes, in minor units.</param>
/// <param name="Late">Calls that were sent more than a millisecond after they were due.</param>
public sealed record LoadResult(
    long Sent, long Answered, IReadOnlyDictionary<string, long> Failed, string GrossMinor, long Late, Latencies LatencyMicros);

/// <summary>A run of the load generator, in a process of its own.</summary>
internal sealed class Loadgen(ChildProcess process) : IAsyncDisposable
{
    // Once for all runs: they stand between measurements.
    private static readonly Lazy<Task> Built = new(SetUp.BuildRustAsync);
    private static readonly TimeSpan LongestRun = TimeSpan.FromMinutes(3);

    /// <param name="arguments">As `loadgen --help` lists them, without the targets.</param>
    public static async Task<Loadgen> StartAsync(IEnumerable<Uri> targets, params string[] arguments)
    {
        await Built.Value;
        string[] command = [Programs.Loadgen, .. targets.SelectMany(target => (string[])["--target", target.ToString().TrimEnd('/')]), .. arguments];
        return new Loadgen(ChildProcess.Start("loadgen", command, Workspace.Root));
    }

    /// <summary>Waits for its end.</summary>
    public async Task<LoadResult> ResultAsync()
    {
        var exitCode = await process.EndedAsync(LongestRun);
        var lines = process.Tail(int.MaxValue);
        Assert.True(exitCode == 0, $"loadgen ended with {exitCode}:\n{string.Join('\n', lines)}");
        return JsonSerializer.Deserialize<LoadResult>(lines.Single(line => line.StartsWith('{')), JsonSerializerOptions.Web)!;
    }

    /// <summary>Stops sending; what is in flight is still counted.</summary>
    public async Task<LoadResult> StopAsync()
    {
        await process.SignalAsync("TERM");
        return await ResultAsync();
    }

    public ValueTask DisposeAsync() => process.DisposeAsync();
}
