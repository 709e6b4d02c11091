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
    private static readonly KeyValuePair<string, string?> NoDownloads = new("GOTOOLCHAIN", "local");

    public static async Task<GoTools> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        var origin = "this machine";
        var found = await FindOnMachineAsync(cancellationToken);
        if (found is null && PackageSource.OfThisMachine is { } source)
        {
            origin = source.Name;
            var brought = await progress.StepAsync($"Go from {source.Name}", report => source.BringAsync(PackageSet.GoCompiler, report, cancellationToken));
            found = await AskAsync(Path.Combine(brought.Folder, "bin/go"), cancellationToken);
        }
        var (program, version) = found ?? throw new SetupException($"Go {Versions.OldestGo} or newer is needed. {Install.Go}");

        Dictionary<string, string?> environment = new([NoDownloads]);
        if (origin != "this machine")
            environment["GOROOT"] = null;
        var packages = await progress.StepAsync("Go libraries", report => BringLibrariesAsync(program, environment, report, cancellationToken));
        if (packages is null)
            return new GoTools(program, version, origin, "the module proxy", environment);
        environment["GOPROXY"] = "off";
        environment["GOFLAGS"] = "-mod=vendor";
        return new GoTools(program, version, origin, $"{packages.Name}, in go-control-plane/vendor", environment) { Packages = packages };
    }

    /// <summary>A Go on this machine that is new enough, or null.</summary>
    public static async Task<(string Program, Version Version)?> FindOnMachineAsync(CancellationToken cancellationToken) =>
        Subprocess.Find("go") is { } program ? await AskAsync(program, cancellationToken) : null;

    private static async Task<(string Program, Version Version)?> AskAsync(string program, CancellationToken cancellationToken)
    {
        var answer = await Subprocess.RunAsync(program, ["version"], environment: [NoDownloads], cancellationToken: cancellationToken);
        return Versions.In(answer.Output) is { } version && version >= Versions.OldestGo ? (program, version) : null;
    }

    /// <returns>Null when the module proxy answered, else what takes its place.</returns>
    private static async Task<IPackageSource?> BringLibrariesAsync(
        string program, Dictionary<string, string?> environment, Action<string> report, CancellationToken cancellationToken)
    {
        var source = PackageSource.OfThisMachine;
        if (source is null || Refusals.Recent("go-libraries", program) is null)
        {
            var download = await Subprocess.RunAsync(
                program, ["mod", "download"], Workspace.GoModule, environment, ProxyPatience, cancellationToken: cancellationToken, onLine: line =>
                {
                    if (line.StartsWith("go: downloading", StringComparison.Ordinal))
                        report(line["go: ".Length..]);
                });
            if (download.Succeeded)
            {
                StampedFolder.Remove(Workspace.GoVendor);
                return null;
            }
            if (source is null)
                throw new SetupException($"The Go module proxy does not answer, and this machine has no package archive to take its place.\n{download.Tail()}");
            Refusals.Remember("go-libraries", program, download.Tail(1));
        }
        await source.BringAsync(PackageSet.GoLibraries, report, cancellationToken);
        return source;
    }
}
