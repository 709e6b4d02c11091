using System.Globalization;
using System.Text;

namespace Hybrid.Measure;

/// <summary>What the kernel says of a process (Linux).</summary>
internal static class ServiceProcess
{
    private const int TicksPerSecond = 100;

    /// <summary>The process that AppHost started for a resource: it carries the resource's name in its environment.</summary>
    public static int IdOf(string resource, Uri http)
    {
        var name = Encoding.UTF8.GetBytes($"OTEL_SERVICE_NAME={resource}\0");
        var port = Encoding.UTF8.GetBytes($"HTTP_PORT={http.Port.ToString(CultureInfo.InvariantCulture)}\0");
        foreach (var folder in Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            try
            {
                var environment = File.ReadAllBytes(Path.Combine(folder, "environ"));
                if (environment.AsSpan().IndexOf(name) >= 0 && environment.AsSpan().IndexOf(port) >= 0)
                    return int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another user's process, or one that has just ended.
            }
        }
        throw new MeasurementException($"No process of {resource} is running.");
    }

    /// <summary>The processes beside ours: the host, and the servers that it runs on the state folder. Empty for what runs elsewhere.</summary>
    public static IReadOnlyDictionary<string, int> Surroundings(string state)
    {
        var found = new Dictionary<string, int>();
        foreach (var folder in Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            string command;
            try
            {
                command = File.ReadAllText(Path.Combine(folder, "cmdline")).Replace('\0', ' ');
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                continue;
            }
            var name = command.Contains($"-D {state}/postgres/data ", StringComparison.Ordinal) ? "postgres (main process)"
                : command.Contains($"kafka.Kafka {state}/kafka/", StringComparison.Ordinal) ? "kafka-server"
                : command.Contains("/AppHost ", StringComparison.Ordinal) && command.Contains($"--state {state} ", StringComparison.Ordinal) ? "AppHost with telemetry"
                : null;
            if (name is not null)
                found.TryAdd(name, int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture));
        }
        return found;
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
}
