namespace Hybrid.Toolchain;

/// <summary>Go, and where the control plane's libraries come from.</summary>
/// <param name="Program">The <c>go</c> command.</param>
/// <param name="Origin">Where <paramref name="Program"/> comes from, for people.</param>
/// <param name="LibrariesFrom">Where the libraries come from, for people.</param>
/// <param name="Environment">What every call of <paramref name="Program"/> needs; a null value removes a variable.</param>
public sealed record GoTools(
    string Program, Version Version, string Origin, string LibrariesFrom, IReadOnlyDictionary<string, string?> Environment)
{
    /// <summary>The package archive that the libraries come from, or null when the module proxy answered.</summary>
    internal IPackageSource? Packages { get; init; }
}

internal static class GoSetup
{
    private static readonly TimeSpan ProxyPatience = TimeSpan.FromMinutes(5);
    private static readonly KeyValuePair<string, string?> NoOtherToolchain = new("GOTOOLCHAIN", "local");

    public static async Task<GoTools> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        Dictionary<string, string?> environment = new([NoOtherToolchain]);
        var source = PackageSource.OfThisMachine;
        var origin = "this machine";
        var go = await FindOnMachineAsync(cancellationToken);
        if (go is null && source is not null)
        {
            origin = source.Name;
            environment["GOROOT"] = null;
            var brought = await progress.StepAsync($"Go from {origin}", report => source.BringAsync(PackageSet.GoCompiler, report, cancellationToken));
            go = await AskAsync(Path.Combine(brought.Folder, "bin/go"), cancellationToken);
        }
        var (program, version) = go ?? throw new SetupException($"Go {Versions.OldestGo} or newer is needed. {Install.Go}");

        var packages = await progress.StepAsync("Go libraries", report => Registry.AskAsync(
            "module proxy", program, () => DownloadAsync(program, environment, report, cancellationToken), PackageSet.GoLibraries, report, cancellationToken));
        if (packages is null)
        {
            StampedFolder.Remove(Workspace.GoVendor);
            return new GoTools(program, version, origin, "the module proxy", environment);
        }
        environment["GOPROXY"] = "off";
        environment["GOFLAGS"] = "-mod=vendor";
        return new GoTools(program, version, origin, $"{source!.Name}, in go-control-plane/vendor", environment) { Packages = source };
    }

    /// <summary>A Go on this machine that is new enough, or null.</summary>
    public static async Task<(string Program, Version Version)?> FindOnMachineAsync(CancellationToken cancellationToken) =>
        Subprocess.Find("go") is { } program ? await AskAsync(program, cancellationToken) : null;

    private static async Task<(string Program, Version Version)?> AskAsync(string program, CancellationToken cancellationToken)
    {
        var answer = await Subprocess.RunAsync(program, ["version"], environment: [NoOtherToolchain], cancellationToken: cancellationToken);
        return Versions.In(answer.Output) is { } version && version >= Versions.OldestGo ? (program, version) : null;
    }

    /// <returns>Null when every module is there, else what go said.</returns>
    private static async Task<string?> DownloadAsync(
        string program, Dictionary<string, string?> environment, Action<string> report, CancellationToken cancellationToken)
    {
        var download = await Subprocess.RunAsync(
            program, ["mod", "download"], Workspace.GoModule, environment, ProxyPatience, cancellationToken: cancellationToken, onLine: line =>
            {
                if (line.StartsWith("go: downloading", StringComparison.Ordinal))
                    report(line["go: ".Length..]);
            });
        return download.Succeeded ? null : download.Tail();
    }
}
