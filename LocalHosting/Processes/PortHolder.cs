using System.Diagnostics;
using System.Globalization;

namespace Aspire.Hosting.Processes;

/// <summary>Finds out which process listens on a port.</summary>
internal static class PortHolder
{
    private static readonly string[] s_tables = ["/proc/net/tcp", "/proc/net/tcp6"];

    /// <summary>The process in words, <c>process 4711 (postgres -D data)</c>. Null when it cannot be told.</summary>
    public static string? Describe(int port)
    {
        try
        {
            return OperatingSystem.IsLinux() ? FromProc(port) : FromLsof(port);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    /// <summary>What to say to the person when a port is taken.</summary>
    public static string TakenMessage(int port, string wantedBy) =>
        $"Port {port} of {wantedBy} is taken by {Describe(port) ?? "another process"}. Stop that process, or start with --random-ports.";

    private static string? FromProc(int port)
    {
        var sockets = s_tables.Where(File.Exists)
            .SelectMany(table => File.ReadLines(table).Skip(1))
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(f => f.Length > 9 && f[3] == "0A" && f[1].EndsWith($":{port:X4}", StringComparison.Ordinal))
            .Select(f => $"socket:[{f[9]}]")
            .ToHashSet();
        if (sockets.Count == 0)
            return null;
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) && Holds(directory, sockets))
                return $"process {pid} ({Command(directory)})";
        return null;
    }

    private static bool Holds(string directory, HashSet<string> sockets)
    {
        try
        {
            return Directory.EnumerateFiles(Path.Combine(directory, "fd"))
                .Any(fd => new FileInfo(fd).LinkTarget is { } target && sockets.Contains(target));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string Command(string directory)
    {
        var command = File.ReadAllText(Path.Combine(directory, "cmdline")).TrimEnd('\0').Replace('\0', ' ');
        return command.Length <= 120 ? command : command[..117] + "...";
    }

    private static string? FromLsof(int port)
    {
        if (ExecutablePath.Find("lsof", Environment.CurrentDirectory) is not { } lsof)
            return null;
        var start = new ProcessStartInfo(lsof, ["-nP", $"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]) { RedirectStandardOutput = true };
        using var process = Process.Start(start);
        if (process is null)
            return null;
        var fields = process.StandardOutput.ReadToEnd().Split('\n');
        process.WaitForExit();
        var pid = fields.FirstOrDefault(f => f.StartsWith('p'));
        var command = fields.FirstOrDefault(f => f.StartsWith('c'));
        return pid is null ? null : $"process {pid[1..]} ({command?[1..]})";
    }
}
