using System.Globalization;

namespace Hybrid.Lab.Measuring;

/// <summary>What the kernel has counted of a process, with all its threads.</summary>
/// <param name="Cpu">Time on the processors, in user code and in the kernel on its behalf.</param>
/// <param name="Switches">Context switches of the threads that it has now, voluntary or not.</param>
internal readonly record struct ProcessCounts(TimeSpan Cpu, long Switches);

/// <summary>Reads <c>/proc</c>; on a system without it nothing can be measured.</summary>
internal sealed class ProcessProbe(int processId)
{
    /// <summary>Linux counts CPU time for user space in hundredths of a second, on every architecture.</summary>
    private const double TicksPerSecond = 100;

    private readonly string folder = $"/proc/{processId}";

    /// <exception cref="LabException">The process has ended.</exception>
    public ProcessCounts Read()
    {
        try
        {
            // After the name, which may contain anything but ends with the last parenthesis.
            var stat = File.ReadAllText($"{folder}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            var ticks = long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
            return new ProcessCounts(TimeSpan.FromSeconds(ticks / TicksPerSecond), Directory.EnumerateDirectories($"{folder}/task").Sum(SwitchesOf));
        }
        catch (Exception e) when (e is DirectoryNotFoundException or FileNotFoundException)
        {
            throw new LabException($"Process {processId} has ended while it was measured.");
        }
    }

    /// <summary>Resident memory in megabytes (10^6 bytes).</summary>
    /// <exception cref="LabException">The process has ended.</exception>
    public double ResidentMegabytes()
    {
        try
        {
            return FieldOf($"{folder}/status", "VmRSS:") * 1024 / 1e6;
        }
        catch (Exception e) when (e is DirectoryNotFoundException or FileNotFoundException)
        {
            throw new LabException($"Process {processId} has ended while it was measured.");
        }
    }

    private static long SwitchesOf(string thread)
    {
        try
        {
            return FieldOf($"{thread}/status", "voluntary_ctxt_switches:") + FieldOf($"{thread}/status", "nonvoluntary_ctxt_switches:");
        }
        catch (Exception e) when (e is DirectoryNotFoundException or FileNotFoundException)
        {
            return 0;
        }
    }

    private static long FieldOf(string file, string name)
    {
        var line = File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        return line is null ? 0 : long.Parse(line[name.Length..].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
    }
}
