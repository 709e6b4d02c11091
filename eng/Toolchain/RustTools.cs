namespace Hybrid.Toolchain;

/// <summary>Cargo, and where the crates come from.</summary>
/// <param name="Program">The <c>cargo</c> command.</param>
/// <param name="CratesFrom">Where the crates come from, for people.</param>
/// <param name="WorkspaceFolder">Where to call it: the sources, or a folder of links to them with a lock file of its own.</param>
/// <param name="Environment">What every call needs. Among it is CARGO_TARGET_DIR: built programs lie in one place always.</param>
public sealed record RustTools(
    string Program, Version Version, string CratesFrom, string WorkspaceFolder, IReadOnlyDictionary<string, string?> Environment);

internal static class RustSetup
{
    private static readonly TimeSpan RegistryPatience = TimeSpan.FromMinutes(5);

    private static readonly string[] NotLinked = ["Cargo.lock", "target"];

    public static async Task<RustTools> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        var (program, version) = await FindOnMachineAsync(cancellationToken)
            ?? throw new SetupException($"Rust {Versions.OldestRust} or newer is needed. {Install.Rust}");
        Dictionary<string, string?> environment = new()
        {
            ["RDKAFKA_LIB_DIR"] = await Librdkafka.EnsureAsync(cancellationToken),
            ["CARGO_TARGET_DIR"] = Programs.RustTarget,
        };
        var crates = await progress.StepAsync("Rust crates", report => Registry.AskAsync(
            "crate registry", program, () => FetchAsync(program, report, cancellationToken), PackageSet.RustCrates, report, cancellationToken));
        if (crates is null)
            return new RustTools(program, version, "the crate registry", Workspace.RustSources, environment);
        environment["CARGO_HOME"] = await CargoHomeAsync(crates.Folder);
        environment["CARGO_NET_OFFLINE"] = "true";
        return new RustTools(program, version, PackageSource.OfThisMachine!.Name, await LinkedWorkspaceAsync(crates), environment);
    }

    /// <summary>A cargo on this machine that is new enough, or null.</summary>
    public static async Task<(string Program, Version Version)?> FindOnMachineAsync(CancellationToken cancellationToken)
    {
        if (Subprocess.Find("cargo") is not { } program)
            return null;
        var answer = await Subprocess.RunAsync(program, ["--version"], cancellationToken: cancellationToken);
        return Versions.In(answer.Output) is { } version && version >= Versions.OldestRust ? (program, version) : null;
    }

    /// <returns>Null when every crate is there, else what cargo said.</returns>
    private static async Task<string?> FetchAsync(string program, Action<string> report, CancellationToken cancellationToken)
    {
        Dictionary<string, string?> impatient = new() { ["CARGO_NET_RETRY"] = "1", ["CARGO_HTTP_TIMEOUT"] = "10" };
        var fetch = await Subprocess.RunAsync(
            program, ["fetch"], Workspace.RustSources, impatient, RegistryPatience, cancellationToken: cancellationToken, onLine: line =>
            {
                if (line.Contains("Downloaded", StringComparison.Ordinal))
                    report(line.Trim());
            });
        return fetch.Succeeded ? null : fetch.Tail();
    }

    /// <summary>A cargo home whose only setting is that crates come from a folder.</summary>
    private static Task<string> CargoHomeAsync(string crates) => StampedFolder.EnsureAsync(
        Path.Combine(Workspace.PrivateFolder, "cargo"), StampedFolder.Fingerprint([], crates), draft => File.WriteAllTextAsync(
            Path.Combine(draft, "config.toml"),
            $"""
            [source.crates-io]
            replace-with = "packages"

            [source.packages]
            directory = "{crates}"

            """));

    /// <summary>
    /// A package archive has one version of each crate, so the committed lock file cannot hold there. Cargo writes its lock file
    /// beside the workspace's manifest; a folder of links to the sources has one of its own. It is made anew, and with it the
    /// lock file, when the crates change.
    /// </summary>
    private static Task<string> LinkedWorkspaceAsync(BroughtPackages crates)
    {
        string[] sources =
        [
            .. Directory.GetFileSystemEntries(Workspace.RustSources).Where(s => !NotLinked.Contains(Path.GetFileName(s))).Order(StringComparer.Ordinal),
        ];
        return StampedFolder.EnsureAsync(
            Path.Combine(Workspace.PrivateFolder, "rust"), StampedFolder.Fingerprint([], [crates.Contents, .. sources]), draft =>
            {
                foreach (var source in sources)
                    File.CreateSymbolicLink(Path.Combine(draft, Path.GetFileName(source)), source);
                return Task.CompletedTask;
            });
    }
}
