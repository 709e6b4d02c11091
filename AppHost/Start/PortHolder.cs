using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Hybrid.Toolchain;

namespace Hybrid.AppHost.Start;

/// <summary>Checks that a port is free, and names the process that holds it when it is not.</summary>
internal static class PortHolder
{
    /// <exception cref="SetupException">The port is taken; the message names its holder where the system tells it.</exception>
    public static void EnsureFree(int port, string wantedBy)
    {
        if (!IsFree(port))
            throw new SetupException($"Port {port} of {wantedBy} is taken by {Describe(port) ?? "another process"}. Stop that process, or start with --random-ports.");
    }

    /// <summary>Whether nothing listens on the port of loopback.</summary>
    public static bool IsFree(int port)
    {
        try
        {
            using var probe = new TcpListener(IPAddress.Loopback, port);
            probe.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static string? Describe(int port)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        // Fields of /proc/net/tcp: local address, state (0A is LISTEN) and inode; see proc(5).
        var sockets = ((string[])["/proc/net/tcp", "/proc/net/tcp6"]).Where(File.Exists).SelectMany(File.ReadLines)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(f => f.Length > 9 && f[3] == "0A" && f[1].EndsWith($":{port:X4}", StringComparison.Ordinal))
            .Select(f => $"socket:[{f[9]}]").ToHashSet();
        return Directory.EnumerateDirectories("/proc")
            .Where(folder => int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out _) && Holds(folder, sockets))
            .Select(folder => $"process {Path.GetFileName(folder)} ({File.ReadAllText(Path.Combine(folder, "comm")).Trim()})").FirstOrDefault();
    }

    private static bool Holds(string folder, HashSet<string> sockets)
    {
        try
        {
            return Directory.EnumerateFiles(Path.Combine(folder, "fd")).Any(fd => new FileInfo(fd).LinkTarget is { } target && sockets.Contains(target));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A process of another user, or one that has just ended.
            return false;
        }
    }
}
