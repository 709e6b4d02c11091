using Hybrid.Toolchain;

namespace Hybrid.AppHost.Hosting.Postgres;

/// <summary>Postgres refuses to run as root. As root, its programs run as a plain user that owns its folder.</summary>
internal static class PlainUser
{
    private static readonly string[] Candidates = ["postgres", "nobody"];

    /// <returns>What to put before a command; empty when this process is not root.</returns>
    public static async Task<string[]> DropAsync(string folder, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
            return [];
        var setpriv = Subprocess.Find("setpriv")
            ?? throw new SetupException("As root, Postgres needs `setpriv` (util-linux) to run as a plain user. Install it, or start as a plain user.");
        var accounts = File.ReadLines("/etc/passwd").Select(line => line.Split(':')).Where(fields => fields.Length > 3).ToDictionary(f => f[0], f => f[3]);
        var user = Candidates.FirstOrDefault(accounts.ContainsKey)
            ?? throw new SetupException("There is no user `postgres` or `nobody` to run Postgres as.");
        var owned = await Subprocess.RunAsync("chown", ["-R", user, folder], cancellationToken: cancellationToken);
        return owned.Succeeded
            ? [setpriv, $"--reuid={user}", $"--regid={accounts[user]}", "--clear-groups", "--"]
            : throw new SetupException($"{folder} cannot be given to {user}: {owned.Tail()}");
    }
}
