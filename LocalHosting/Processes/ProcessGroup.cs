using System.Diagnostics;

namespace Aspire.Hosting.Processes;

/// <summary>Starts programs in a session of their own, so that Ctrl-C reaches only the host, which then stops them in order.</summary>
internal static class ProcessGroup
{
    private static readonly string[]? s_launcher = FindLauncher();

    /// <summary>Whether a child leads a group of its own.</summary>
    public static bool IsSupported => s_launcher is not null;

    /// <summary>The programs that stand in for the real one for a moment, before it takes their place in the same process.</summary>
    public static string? LauncherPath => s_launcher?[0];

    public static void Prepare(ProcessStartInfo start, ProcessSpec spec)
    {
        if (s_launcher is null)
        {
            start.FileName = spec.FileName;
        }
        else
        {
            start.FileName = s_launcher[0];
            foreach (var arg in s_launcher.Skip(1))
                start.ArgumentList.Add(arg);
            start.ArgumentList.Add(spec.FileName);
        }

        foreach (var arg in spec.Arguments)
            start.ArgumentList.Add(arg);
    }

    /// <summary>Kills what is left of the group that the process led.</summary>
    public static void Kill(int leader)
    {
        if (IsSupported)
            _ = NativeMethods.Kill(-leader, NativeMethods.SigKill);
    }

    private static string[]? FindLauncher()
    {
        if (OperatingSystem.IsWindows())
            return null;
        if (ExecutablePath.Find("setsid", "/") is { } setsid)
            return [setsid];
        return ExecutablePath.Find("perl", "/") is { } perl ? [perl, "-e", "setpgrp(0,0); exec {$ARGV[0]} @ARGV or exit 127", "--"] : null;
    }
}
