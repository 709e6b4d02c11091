using System.Globalization;
using System.Security.Cryptography;
using Hybrid.Toolchain;
using Npgsql;

namespace Hybrid.AppHost.Infrastructure;

/// <summary>A Postgres server from the machine's binaries: its data folder made ready, and the command that runs it.</summary>
internal sealed record NativePostgres(
    string Command, string[] Arguments, IReadOnlyDictionary<string, string> Environment, string DataFolder, string ConnectionString)
{
    public const string Database = "hybrid";
    private const string User = "hybrid";

    public static NativePostgres Prepare(Preparation prepared)
    {
        var binaries = prepared.Tools.Postgres
            ?? throw new SetupException("There is no PostgreSQL on this machine and none could be brought. `dotnet run --project eng/Toolchain -- doctor` says what to do.");
        var folder = prepared.State.FolderOf("postgres");
        var data = Path.Combine(folder, "data");
        var password = PasswordOf(folder);
        var environment = binaries.LibraryPath is { } libraries ? new Dictionary<string, string> { ["LD_LIBRARY_PATH"] = libraries } : [];
        var asUser = PlainUser.Drop(folder);

        if (!File.Exists(Path.Combine(data, "PG_VERSION")))
            Initialise(binaries, asUser, environment, folder, data, password);

        string[] server =
        [
            binaries.Program("postgres"), "-D", data, "-h", "127.0.0.1", "-p", prepared.Ports.Postgres.ToString(CultureInfo.InvariantCulture),
            "-c", "unix_socket_directories=", "-c", "max_connections=60", "-c", "log_min_messages=warning", "-c", "log_checkpoints=off",
            "-c", "max_logical_replication_workers=0",
        ];
        string[] command = [.. asUser, .. server];
        return new NativePostgres(command[0], command[1..], environment, data, new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = prepared.Ports.Postgres,
            Username = User,
            Password = password,
            Database = Database,
        }.ConnectionString);
    }

    private static string PasswordOf(string folder)
    {
        var file = Path.Combine(folder, "password");
        if (!File.Exists(file))
        {
            File.WriteAllText(file, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12)));
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        return File.ReadAllText(file);
    }

    private static void Initialise(
        PostgresBinaries binaries, string[] asUser, Dictionary<string, string> environment, string folder, string data, string password)
    {
        // What a broken first attempt left is no database.
        if (Directory.Exists(data))
            Directory.Delete(data, recursive: true);
        var draft = Path.Combine(folder, "data.new");
        if (Directory.Exists(draft))
            Directory.Delete(draft, recursive: true);
        Run(asUser, environment, null,
            binaries.Program("initdb"), "-D", draft, "-U", User, "--pwfile", Path.Combine(folder, "password"), "--auth=scram-sha-256",
            "--encoding=UTF8", "--no-locale");
        Run(asUser, environment, $"CREATE DATABASE {Database}\n", binaries.Program("postgres"), "--single", "-D", draft, "postgres");
        Directory.Move(draft, data);
    }

    private static void Run(string[] asUser, Dictionary<string, string> environment, string? input, params string[] command)
    {
        string[] all = [.. asUser, .. command];
        var result = Subprocess.RunAsync(all[0], all[1..], environment: environment.Select(e => new KeyValuePair<string, string?>(e.Key, e.Value)), input: input)
            .GetAwaiter().GetResult();
        if (!result.Succeeded)
            throw new SetupException($"{Path.GetFileName(command[0])} failed:\n{result.Tail()}");
    }
}
