using System.Diagnostics;
using System.Text.Json;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>Percentiles in microseconds.</summary>
public sealed record Latencies(double P50, double P90, double P99, double P999, double Max, double Mean);

/// <summary>What the load generator reports at its end.</summary>
/// <param name="Failed">Calls without an answer, by gRPC status.</param>
/// <param name="GrossMinor">Sum of the answered quotes, in minor units.</param>
/// <param name="KeptUp">Whether it sent every call when it was due.</param>
public sealed record LoadResult(
    long Sent, long Answered, IReadOnlyDictionary<string, long> Failed, string GrossMinor, bool KeptUp, Latencies LatencyMicros);

/// <summary>A run of the load generator, in a process of its own.</summary>
internal sealed class Loadgen : IDisposable
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web);

    private readonly Process process;
    private readonly Task<string> output;
    private readonly Task<string> errors;

    private Loadgen(Process process)
    {
        this.process = process;
        output = process.StandardOutput.ReadToEndAsync();
        errors = process.StandardError.ReadToEndAsync();
    }

    /// <param name="arguments">As `loadgen --help` lists them, without the targets.</param>
    public static async Task<Loadgen> StartAsync(IEnumerable<Uri> targets, params string[] arguments)
    {
        await SetUp.BuildRustAsync();
        string[] all = [.. targets.SelectMany(target => (string[])["--target", target.ToString().TrimEnd('/')]), .. arguments];
        return new Loadgen(Process.Start(new ProcessStartInfo(Programs.Loadgen, all) { RedirectStandardOutput = true, RedirectStandardError = true })
            ?? throw new InvalidOperationException("loadgen did not start."));
    }

    /// <summary>Waits for its end.</summary>
    public async Task<LoadResult> ResultAsync()
    {
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"loadgen ended with {process.ExitCode}:\n{await errors}");
        return JsonSerializer.Deserialize<LoadResult>(await output, Format) ?? throw new JsonException("loadgen printed no result.");
    }

    /// <summary>Stops sending; what is in flight is still counted.</summary>
    public async Task<LoadResult> StopAsync()
    {
        await Subprocess.RunAsync("sh", ["-c", $"kill -s INT {process.Id}"]);
        return await ResultAsync();
    }

    public void Dispose()
    {
        if (!process.HasExited)
            process.Kill();
        process.Dispose();
    }
}
