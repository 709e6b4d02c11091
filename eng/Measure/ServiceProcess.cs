using System.Globalization;
using System.Text.RegularExpressions;
using Hybrid.Toolchain;

namespace Hybrid.Measure;

/// <summary>What the kernel says of a process (Linux).</summary>
internal static partial class ServiceProcess
{
    private const int TicksPerSecond = 100;

    /// <summary>The process that listens on a port of this machine; null where none of ours does.</summary>
    public static async Task<int?> ListeningAsync(int port)
    {
        var sockets = await Subprocess.RunAsync("ss", ["-Hltnp", $"sport = :{port}"]);
        if (!sockets.Succeeded)
            throw new MeasurementException($"ss failed (Debian: iproute2):\n{sockets.Tail()}");
        return Process().Match(sockets.Output) is { Success: true } match ? int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : null;
    }

    public static TimeSpan CpuOf(int process)
    {
        var stat = File.ReadAllText($"/proc/{process}/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        var ticks = long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
        return TimeSpan.FromSeconds((double)ticks / TicksPerSecond);
    }

    public static double ResidentMegabytes(int process)
    {
        var line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024.0;
    }

    [GeneratedRegex(@"pid=(\d+)")]
    private static partial Regex Process();
}
