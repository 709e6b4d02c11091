using System.Text.Json.Nodes;
using Hybrid.Toolchain;

namespace Hybrid.Measure;

/// <summary>Resident memory of each process, and latency, while both nodes together price 5,000 quotes a second.</summary>
internal static class MemoryUnderLoad
{
    public static async Task ReportAsync(RunningSystem system)
    {
        await Programs.BuildRustAsync(Progress.Silent);
        var json = "";
        var load = Subprocess.RunAsync(
            Programs.Loadgen,
            [
                "--target", system.Url("data-plane-1", "grpc").ToString(), "--target", system.Url("data-plane-2", "grpc").ToString(), "--rate", "5000", "--duration", "20s",
                "--currency", RunningSystem.Currency, "--jurisdiction", system.Jurisdiction, "--line", $"{system.Sku}=3",
            ],
            onLine: line => json = line.StartsWith('{') ? line : json);
        var processes = await system.ProcessesAsync();
        var peak = processes.ToDictionary(p => p.Key, _ => 0.0);
        while (!load.IsCompleted)
        {
            foreach (var (name, id) in processes)
                peak[name] = Math.Max(peak[name], ServiceProcess.ResidentMegabytes(id));
            await Task.WhenAny(load, Task.Delay(TimeSpan.FromSeconds(1)));
        }
        if (!(await load).Succeeded || JsonNode.Parse(json) is not { } result || (long)result["sent"]! != (long)result["answered"]!)
            throw new MeasurementException($"loadgen did not get an answer to every quote:\n{(await load).Tail()}");
        Console.WriteLine($"Resident memory at {(double)result["achievedRate"]!:0} quotes a second: {string.Join(", ", peak.Select(p => $"{p.Key} {p.Value:0} MB"))}");
        Console.WriteLine(
            $"Latency at that rate, open loop{((bool)result["keptUp"]! ? "" : " (the generator did not keep up)")}: P50 {result["latencyMicros"]!["p50"]} µs, P99 {result["latencyMicros"]!["p99"]} µs");
    }
}
