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

    /// <summary>Makes the data folder ready.</summary>
    /// <returns>The command line that serves it on <paramref name="port"/> of loopback, as a plain user where this process is root.</returns>
    /// <exception cref="SetupException">The folder belongs to another version, or <c>initdb</c> failed.</exception>
    public async Task<string[]> PrepareAsync(PostgresBinaries binaries, int port, CancellationToken cancellationToken)
    {
        Password();
        var asUser = await PlainUser.DropAsync(folder, cancellationToken);
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
