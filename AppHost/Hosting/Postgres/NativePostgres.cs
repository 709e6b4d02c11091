using System.Security.Cryptography;
using Hybrid.Toolchain;

namespace Hybrid.AppHost.Hosting.Postgres;

/// <summary>The data folder of a native Postgres server: made by <c>initdb</c> once, and checked before each start.</summary>
/// <param name="folder">Holds the data and the password of the superuser.</param>
internal sealed class NativePostgres(string folder)
{
    public const string User = "hybrid";
    public const string Database = "hybrid";

    private readonly string data = Path.Combine(folder, "data");
    private readonly string passwordFile = Path.Combine(folder, "password");

    /// <summary>The superuser's password, made at the first call. It lies beside the data, so it fits at every start.</summary>
    public string Password()
    {
        Directory.CreateDirectory(folder);
        if (!File.Exists(passwordFile))
        {
            using (File.Create(passwordFile))
                File.SetUnixFileMode(passwordFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            File.WriteAllText(passwordFile, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12)));
        }
        return File.ReadAllText(passwordFile);
    }

    /// <summary>The connection string for a server on <paramref name="port"/> of loopback, in the form of Npgsql.</summary>
    public string ConnectionString(int port) => $"Host=127.0.0.1;Port={port};Username={User};Password={Password()};Database={Database}";

    /// <summary>Chooses the server programs, and makes the data folder ready.</summary>
    /// <returns>The command line that serves it on <paramref name="port"/> of loopback, as a plain user where this process is root.</returns>
    /// <exception cref="SetupException">There is no server, the folder belongs to another version, or <c>initdb</c> failed.</exception>
    public async Task<string[]> PrepareAsync(int port, Progress progress, CancellationToken cancellationToken)
    {
        var binaries = await Setup.PostgresAsync(progress, cancellationToken)
            ?? throw new SetupException("There is no PostgreSQL on this machine and none could be brought. `dotnet run --project eng/Toolchain -- doctor` names the remedy.");
        progress.Say($"Postgres: native server, {binaries.Folder}, data in {folder}");
        Password();
        var asUser = await AsPlainUserAsync(cancellationToken);
        if (File.Exists(Path.Combine(data, "PG_VERSION")))
            await CheckVersionAsync(binaries, cancellationToken);
        else
            await InitialiseAsync(binaries, asUser, cancellationToken);
        string[] libraries = binaries.LibraryPath is { } path ? ["env", $"LD_LIBRARY_PATH={path}"] : [];
        return
        [
            .. asUser, .. libraries, binaries.Program("postgres"), "-D", data, "-h", "127.0.0.1", "-p", $"{port}",
            "-c", "unix_socket_directories=", "-c", "max_connections=60", "-c", "log_min_messages=warning", "-c", "log_checkpoints=off",
            "-c", "max_logical_replication_workers=0",
        ];
    }

    /// <summary>A server refuses the data of another major version, and would be started again for ever.</summary>
    private async Task CheckVersionAsync(PostgresBinaries binaries, CancellationToken cancellationToken)
    {
        var made = (await File.ReadAllTextAsync(Path.Combine(data, "PG_VERSION"), cancellationToken)).Trim();
        var answer = await Subprocess.RunAsync(
            binaries.Program("postgres"), ["--version"], environment: EnvironmentOf(binaries), cancellationToken: cancellationToken);
        var serves = answer.Output.Split(' ').Select(word => word.Split('.')[0].Trim()).FirstOrDefault(word => int.TryParse(word, out _));
        if (serves is not null && serves != made)
            throw new SetupException(
                $"The data in {data} was made by PostgreSQL {made}, but {binaries.Program("postgres")} is version {serves}. "
                + $"Set HYBRID_POSTGRES_BIN to the binaries of version {made}, or start with --state DIR or --fresh.");
    }

    private async Task InitialiseAsync(PostgresBinaries binaries, string[] asUser, CancellationToken cancellationToken)
    {
        if (Directory.Exists(data) && Directory.EnumerateFileSystemEntries(data).Any())
            throw new SetupException($"{data} holds files, but no PostgreSQL data. Move them away, or name another folder with --state DIR.");
        var draft = data + ".new";
        if (Directory.Exists(draft))
            Directory.Delete(draft, recursive: true);
        await RunAsync(
            [.. asUser, binaries.Program("initdb"), "-D", draft, "-U", User, "--pwfile", passwordFile, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"],
            binaries, input: null, cancellationToken);
        await RunAsync(
            [.. asUser, binaries.Program("postgres"), "--single", "-D", draft, "postgres"], binaries, $"CREATE DATABASE {Database}\n", cancellationToken);
        if (Directory.Exists(data))
            Directory.Delete(data);
        Directory.Move(draft, data);
    }

    /// <summary>Postgres refuses to run as root. As root, its programs run as a plain user that owns its folder.</summary>
    /// <returns>What to put before a command; empty when this process is not root.</returns>
    private async Task<string[]> AsPlainUserAsync(CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
            return [];
        var setpriv = Subprocess.Find("setpriv")
            ?? throw new SetupException("As root, Postgres needs `setpriv` (util-linux) to run as a plain user. Install it, or start as a plain user.");
        var groups = File.ReadLines("/etc/passwd").Select(line => line.Split(':')).Where(fields => fields.Length > 3).ToDictionary(f => f[0], f => f[3]);
        var user = ((string[])["postgres", "nobody"]).FirstOrDefault(groups.ContainsKey)
            ?? throw new SetupException("There is no user `postgres` or `nobody` to run Postgres as.");
        var owned = await Subprocess.RunAsync("chown", ["-R", user, folder], cancellationToken: cancellationToken);
        return owned.Succeeded
            ? [setpriv, $"--reuid={user}", $"--regid={groups[user]}", "--clear-groups", "--"]
            : throw new SetupException($"{folder} cannot be given to {user}: {owned.Tail()}");
    }

    private static async Task RunAsync(string[] command, PostgresBinaries binaries, string? input, CancellationToken cancellationToken)
    {
        var result = await Subprocess.RunAsync(
            command[0], command[1..], environment: EnvironmentOf(binaries), input: input, cancellationToken: cancellationToken);
        if (!result.Succeeded)
            throw new SetupException($"{string.Join(' ', command)} failed:\n{result.Tail()}");
    }

    private static IEnumerable<KeyValuePair<string, string?>> EnvironmentOf(PostgresBinaries binaries) =>
        binaries.LibraryPath is { } path ? [new("LD_LIBRARY_PATH", path)] : [];
}
