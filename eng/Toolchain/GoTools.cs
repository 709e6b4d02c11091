using System.Text.RegularExpressions;
using Hybrid.Toolchain.Debian;

namespace Hybrid.Toolchain;

/// <summary>Go, and where the control plane's libraries come from.</summary>
/// <param name="Program">The <c>go</c> command.</param>
/// <param name="LibrariesAreDebian">True when they come as Debian packages, false when the module proxy answered.</param>
/// <param name="Environment">What every call of <paramref name="Program"/> needs.</param>
public sealed record GoTools(string Program, string Version, string Origin, bool LibrariesAreDebian, IReadOnlyDictionary<string, string?> Environment)
{
    /// <summary>For people.</summary>
    public string LibrariesFrom => LibrariesAreDebian ? "Debian packages, in go-control-plane/vendor" : "the module proxy";
}

internal static partial class GoSetup
{
    private const string DebianVersion = "1.27";
    private static readonly Version Oldest = new(1, 26);
    private static readonly TimeSpan ProxyPatience = TimeSpan.FromMinutes(5);

    internal static readonly string DebianRoot = Path.Combine(Workspace.PrivateFolder, "debian");
    private static readonly string DebianGo = Path.Combine(DebianRoot, "usr/lib/go-" + DebianVersion, "bin/go");

    private static readonly string LibraryList = Path.Combine(Workspace.Root, "eng/debian/go-libraries.txt");

    public static async Task<GoTools> EnsureAsync(SetupState state, Progress progress, CancellationToken cancellationToken)
    {
        var (program, version, origin) = await FindOnMachineAsync(cancellationToken)
            ?? (await BringFromDebianAsync(progress, cancellationToken), DebianVersion, "Debian, private folder");

        var inputs = SetupState.Fingerprint(
            [Path.Combine(Workspace.GoModule, "go.mod"), Path.Combine(Workspace.GoModule, "go.sum"), LibraryList], program, version, Workspace.Root);
        var libraries = state.Get("go-libraries", inputs);
        if (libraries == "debian" && !GoVendor.Exists)
            libraries = null;
        if (libraries is null)
        {
            libraries = await progress.StepAsync("Go libraries", report => BringLibrariesAsync(program, report, cancellationToken));
            state.Set("go-libraries", inputs, libraries);
        }
        return new GoTools(
            program, version, origin, libraries == "debian",
            EnvironmentFor(program, libraries));
    }

    /// <summary>A Go on this machine that is new enough, or null.</summary>
    public static async Task<(string Program, string Version, string Origin)?> FindOnMachineAsync(CancellationToken cancellationToken)
    {
        if (Subprocess.Find("go") is not { } program)
            return null;
        var answer = await Subprocess.RunAsync(program, ["version"], environment: [new("GOTOOLCHAIN", "local")], cancellationToken: cancellationToken);
        var match = VersionText().Match(answer.Output);
        return match.Success && Version.Parse(match.Groups[1].Value) >= Oldest ? (program, match.Groups[1].Value, "this machine") : null;
    }

    public static string OldestVersion => Oldest.ToString();

    private static async Task<string> BringFromDebianAsync(Progress progress, CancellationToken cancellationToken)
    {
        if (File.Exists(DebianGo))
            return DebianGo;
        if (!DebianPackages.Available)
            throw new SetupException($"Go {Oldest} or newer is needed. {Install.Go}");
        await progress.StepAsync("Go from Debian", async report =>
        {
            string[] packages = [$"golang-{DebianVersion}-go", $"golang-{DebianVersion}-src"];
            await new DebianPackages(DebianSuite.Name).BringAsync(packages, _ => false, DebianRoot, report, cancellationToken);
            return true;
        });
        return DebianGo;
    }

    private static async Task<string> BringLibrariesAsync(string program, Action<string> report, CancellationToken cancellationToken)
    {
        GoVendor.Remove();
        report("asking the module proxy");
        var download = await Subprocess.RunAsync(
            program, ["mod", "download"], Workspace.GoModule, EnvironmentFor(program, "proxy"), ProxyPatience, onLine: line => ReportDownload(line, report), cancellationToken: cancellationToken);
        if (download.Succeeded)
            return "proxy";
        if (!DebianPackages.Available)
            throw new SetupException($"The Go module proxy does not answer, and this machine has no Debian packages to take its place.\n{download.Tail()}");
        await new DebianPackages(DebianSuite.Name).BringAsync(
            await File.ReadAllLinesAsync(LibraryList, cancellationToken), _ => false, DebianRoot, report, cancellationToken);
        GoVendor.Generate(Path.Combine(DebianRoot, "usr/share/gocode/src"));
        return "debian";
    }

    private static void ReportDownload(string line, Action<string> report)
    {
        if (line.StartsWith("go: downloading", StringComparison.Ordinal))
            report(line["go: ".Length..]);
    }

    private static Dictionary<string, string?> EnvironmentFor(string program, string libraries)
    {
        var environment = new Dictionary<string, string?> { ["GOTOOLCHAIN"] = "local" };
        if (program == DebianGo)
            environment["GOROOT"] = null;
        if (libraries == "debian")
        {
            environment["GOPROXY"] = "off";
            environment["GOFLAGS"] = "-mod=vendor";
        }
        return environment;
    }

    [GeneratedRegex(@"go(\d+\.\d+)")]
    private static partial Regex VersionText();
}
