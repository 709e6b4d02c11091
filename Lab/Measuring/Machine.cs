using System.Globalization;
using System.Runtime.InteropServices;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Measuring;

/// <summary>Where and with what was measured, and how quiet it was.</summary>
/// <param name="LoadAverage">Processes that ran in the minute before.</param>
/// <param name="StealTicks">What other virtual machines had taken before.</param>
/// <param name="Steal">The part of the time that other virtual machines took meanwhile.</param>
internal sealed record Machine(
    string Processor, int Cores, double MemoryGigabytes, string Kernel, string Go, string Rust, string DotNet, string Commit, string Date, string Pinning,
    double LoadAverage, long StealTicks, double Steal)
{
    public static async Task<Machine> ReadAsync(CancellationToken cancellationToken)
    {
        var go = await Setup.GoAsync(Progress.Silent, cancellationToken);
        var rust = await Setup.RustAsync(Progress.Silent, cancellationToken);
        var commit = await Subprocess.RunAsync("git", ["describe", "--always", "--dirty"], cancellationToken: cancellationToken);
        return new Machine(
            Field("/proc/cpuinfo", "model name"), Environment.ProcessorCount, Math.Round(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9),
            RuntimeInformation.OSDescription, go.Version.ToString(), rust.Version.ToString(), Environment.Version.ToString(),
            commit.Succeeded ? commit.Output.Trim() : "unknown", DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture), Measuring.Cores.Description,
            double.Parse((await File.ReadAllTextAsync("/proc/loadavg", cancellationToken)).Split(' ')[0], CultureInfo.InvariantCulture), Ticks().Steal, 0);
    }

    /// <summary>The part of the time since <paramref name="start"/> was read that other virtual machines took.</summary>
    public static double StealSince(Machine start)
    {
        var (steal, all) = Ticks();
        return Math.Round((steal - start.StealTicks) / (double)Math.Max(1, all), 4);
    }

    private static (long Steal, long All) Ticks()
    {
        var fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(long.Parse).ToList();
        return (fields.Count > 7 ? fields[7] : 0, fields.Take(8).Sum());
    }

    private static string Field(string file, string name) =>
        File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown";
}
