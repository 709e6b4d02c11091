using Hybrid.Toolchain;

namespace Hybrid.AppHost.Infrastructure;

/// <summary>Postgres refuses to run as root. As root, its programs run as a plain user that owns its folder.</summary>
internal static class PlainUser
{
    private static readonly string[] Candidates = ["postgres", "nobody"];

    /// <returns>What to put before a command; empty when this process is not root.</returns>
    public static string[] Drop(string folder)
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
            return [];
        var setpriv = Subprocess.Find("setpriv") ?? throw new SetupException("As root, Postgres needs `setpriv` (util-linux) to run as a plain user. Install it, or start as a plain user.");
        var accounts = File.ReadLines("/etc/passwd").Select(line => line.Split(':')[0]).ToHashSet();
        var user = Candidates.FirstOrDefault(accounts.Contains) ?? throw new SetupException("There is no user `postgres` or `nobody` to run Postgres as.");
        var owned = Subprocess.RunAsync("chown", ["-R", user, folder]).GetAwaiter().GetResult();
        return owned.Succeeded
            ? [setpriv, $"--reuid={user}", $"--regid={GroupOf(user)}", "--clear-groups", "--"]
            : throw new SetupException($"{folder} cannot be given to {user}: {owned.Tail()}");
    }

    private static string GroupOf(string user) => File.ReadLines("/etc/passwd").Select(line => line.Split(':')).First(fields => fields[0] == user)[3];
}
