using System.Text.RegularExpressions;
using Hybrid.Toolchain.Debian;

namespace Hybrid.Toolchain;

/// <summary>Cargo, and where the crates come from.</summary>
/// <param name="Program">The <c>cargo</c> command.</param>
/// <param name="CratesFrom">For people: "the crate registry" or "Debian packages".</param>
/// <param name="WorkspaceFolder">Where to call it: the sources, or a folder of links to them with a lock file of its own.</param>
/// <param name="Environment">What every call needs.</param>
public sealed record RustTools(
    string Program, string Version, string CratesFrom, string WorkspaceFolder, IReadOnlyDictionary<string, string?> Environment)
{
    /// <summary>Where it builds to.</summary>
    public string TargetFolder => Path.Combine(WorkspaceFolder, "target");
}

internal static partial class RustSetup
{
    private static readonly Version Oldest = new(1, 88);
    private static readonly TimeSpan RegistryPatience = TimeSpan.FromMinutes(5);

    private static readonly string CrateList = Path.Combine(Workspace.Root, "eng/debian/rust-crates.txt");
    private static readonly string DebianRoot = Path.Combine(Workspace.PrivateFolder, "debian");
    private static readonly string DebianCargoHome = Path.Combine(Workspace.PrivateFolder, "cargo");
    private static readonly string LinkedWorkspace = Path.Combine(Workspace.PrivateFolder, "rust");

    public static string OldestVersion => Oldest.ToString();

    public static async Task<RustTools> EnsureAsync(SetupState state, Progress progress, CancellationToken cancellationToken)
    {
        var (program, version) = await FindOnMachineAsync(cancellationToken)
            ?? throw new SetupException($"Rust {Oldest} or newer is needed. {Install.Rust}");
        var librdkafka = Librdkafka.Ensure();

        var inputs = SetupState.Fingerprint(
            [.. Directory.GetFiles(Workspace.RustSources, "Cargo.toml", SearchOption.TopDirectoryOnly), CrateList], program, version, Workspace.Root);
        var crates = state.Get("rust-crates", inputs);
        if (crates is null)
        {
            crates = await progress.StepAsync("Rust crates", report => BringCratesAsync(program, report, cancellationToken));
            state.Set("rust-crates", inputs, crates);
        }

        var environment = new Dictionary<string, string?> { ["RDKAFKA_LIB_DIR"] = librdkafka };
        if (crates == "registry")
            return new RustTools(program, version, "the crate registry", Workspace.RustSources, environment);
        LinkWorkspace();
        environment["CARGO_HOME"] = DebianCargoHome;
        environment["CARGO_NET_OFFLINE"] = "true";
        return new RustTools(program, version, "Debian packages", LinkedWorkspace, environment);
    }

    /// <summary>A cargo on this machine that is new enough, or null.</summary>
    public static async Task<(string Program, string Version)?> FindOnMachineAsync(CancellationToken cancellationToken)
    {
        if (Subprocess.Find("cargo") is not { } program)
            return null;
        var answer = await Subprocess.RunAsync(program, ["--version"], cancellationToken: cancellationToken);
        var match = VersionText().Match(answer.Output);
        return match.Success && Version.Parse(match.Groups[1].Value) >= Oldest ? (program, match.Groups[1].Value) : null;
    }

    private static async Task<string> BringCratesAsync(string program, Action<string> report, CancellationToken cancellationToken)
    {
        report("asking the crate registry");
        Dictionary<string, string?> impatient = new() { ["CARGO_NET_RETRY"] = "1", ["CARGO_HTTP_TIMEOUT"] = "10" };
        var fetch = await Subprocess.RunAsync(program, ["fetch"], Workspace.RustSources, impatient, RegistryPatience, onLine: line => ReportDownload(line, report), cancellationToken: cancellationToken);
        if (fetch.Succeeded)
            return "registry";
        if (!DebianPackages.Available)
            throw new SetupException($"The crate registry does not answer, and this machine has no Debian packages to take its place.\n{fetch.Tail()}");
        await new DebianPackages(DebianSuite.Name).BringAsync(
            await File.ReadAllLinesAsync(CrateList, cancellationToken), name => name.StartsWith("librust-", StringComparison.Ordinal), DebianRoot, report,
            cancellationToken);
        Directory.CreateDirectory(DebianCargoHome);
        await File.WriteAllTextAsync(Path.Combine(DebianCargoHome, "config.toml"),
            $"""
            [source.crates-io]
            replace-with = "debian"

            [source.debian]
            directory = "{DebianRoot}/usr/share/cargo/registry"

            """, cancellationToken);
        return "debian";
    }

    private static void ReportDownload(string line, Action<string> report)
    {
        if (line.Contains("Downloaded", StringComparison.Ordinal))
            report(line.Trim());
    }

    /// <summary>
    /// Debian has one version of each crate, so the committed lock file cannot hold there. Cargo writes its lock beside the
    /// workspace's manifest; a folder of links to the manifest and the sources gives it a place of its own.
    /// </summary>
    private static void LinkWorkspace()
    {
        Directory.CreateDirectory(LinkedWorkspace);
        foreach (var name in (string[])["Cargo.toml", "crates", "clippy.toml", "rustfmt.toml"])
        {
            var source = Path.Combine(Workspace.RustSources, name);
            var link = Path.Combine(LinkedWorkspace, name);
            if (Path.Exists(source) && !Path.Exists(link))
                File.CreateSymbolicLink(link, source);
        }
    }

    [GeneratedRegex(@"cargo (\d+\.\d+)")]
    private static partial Regex VersionText();
}
