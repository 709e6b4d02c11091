using System.Diagnostics;
using System.Globalization;

namespace Aspire.Hosting.Processes;

/// <summary>Tells a process from a later one with the same id.</summary>
internal static class ProcessIdentity
{
    private const string BootIdPath = "/proc/sys/kernel/random/boot_id";

    /// <summary>When the process was started, in a form that only compares.</summary>
    /// <returns>Null when there is no such process.</returns>
    public static string? StartedAt(int pid)
    {
        try
        {
            if (OperatingSystem.IsLinux())
            {
                // The command, in parentheses, may hold spaces: count from its end. Field 22 is the start in clock ticks since boot.
                var stat = File.ReadAllText($"/proc/{pid}/stat");
                var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                return fields[0] is "Z" or "X" ? null : $"{File.ReadAllText(BootIdPath).Trim()}:{fields[19]}";
            }

            using var process = Process.GetProcessById(pid);
            return process.HasExited ? null : process.StartTime.ToUniversalTime().ToString("s", CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (IsGone(e))
        {
            return null;
        }
    }

    /// <summary>The program that the process executes now. Null when it cannot be told.</summary>
    public static string? Executable(int pid)
    {
        try
        {
            if (OperatingSystem.IsLinux())
                return File.ResolveLinkTarget($"/proc/{pid}/exe", returnFinalTarget: false)?.FullName;
            using var process = Process.GetProcessById(pid);
            return process.MainModule?.FileName;
        }
        catch (Exception e) when (IsGone(e))
        {
            return null;
        }
    }

    private static bool IsGone(Exception e) => e is IOException or UnauthorizedAccessException or ArgumentException
        or InvalidOperationException or System.ComponentModel.Win32Exception or NotSupportedException;
}
