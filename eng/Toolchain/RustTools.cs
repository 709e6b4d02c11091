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
    public static async Task<RustTools> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        var (program, version) = await Versions.AskAsync(Subprocess.Find("cargo"), "--version", Versions.OldestRust, cancellationToken)
            ?? throw new SetupException($"Rust {Versions.OldestRust} or newer is needed. {Install.Rust}");
        var environment = new Dictionary<string, string?>
        {
            ["RDKAFKA_LIB_DIR"] = await StampedFolder.MakeAsync(
                Path.Combine(Workspace.PrivateFolder, "librdkafka"), "eng/librdkafka.sh", [Workspace.LibrdkafkaPackage], "", progress.Say, cancellationToken),
            ["CARGO_TARGET_DIR"] = Programs.RustTarget,
        };
        var impatient = new Dictionary<string, string?> { ["CARGO_NET_RETRY"] = "1", ["CARGO_HTTP_TIMEOUT"] = "10" };
        return await progress.StepAsync("Rust crates", async report =>
        {
            var packages = await Registry.AskAsync(
                "crate registry", program, "rust-crates", report,
                () => Registry.DownloadAsync(program, ["fetch"], Workspace.RustSources, impatient, report, cancellationToken), cancellationToken);
            if (packages is not { } crates)
                return new RustTools(program, version, "the crate registry", Workspace.RustSources, environment);
            // When the crates change, this workspace is made anew, and with it its lock file.
            var inputs = StampedFolder.Fingerprint([], [crates.Contents, .. Directory.GetFiles(Workspace.RustSources, "*.toml").Order()]);
            var (from, folder) = (Path.Combine(crates.Tree, "usr/share/cargo/registry"), Path.Combine(Workspace.PrivateFolder, "rust"));
            var workspace = await StampedFolder.MakeAsync(folder, "eng/debian/rust-workspace.sh", [from], inputs, report, cancellationToken);
            environment["CARGO_HOME"] = Path.Combine(workspace, ".cargo");
            return new RustTools(program, version, DebianPackages.Name, Path.Combine(workspace, "rust-data-plane"), environment);
        });
    }
}
