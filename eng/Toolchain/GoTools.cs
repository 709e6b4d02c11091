namespace Hybrid.Toolchain;

/// <summary>Go, and where the control plane's libraries come from.</summary>
/// <param name="Program">The <c>go</c> command.</param>
/// <param name="Origin">Where they come from, for people.</param>
/// <param name="Environment">What every call of <paramref name="Program"/> needs; a null value removes a variable.</param>
/// <param name="UsesDebianPackages">Whether the module proxy did not answer.</param>
public sealed record GoTools(
    string Program, Version Version, string Origin, IReadOnlyDictionary<string, string?> Environment, bool UsesDebianPackages = false);

internal static class GoSetup
{
    public static async Task<GoTools> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        var environment = new Dictionary<string, string?> { ["GOTOOLCHAIN"] = "local" };
        var origin = "this machine";
        var go = await Versions.AskAsync(Subprocess.Find("go"), "version", Versions.OldestGo, cancellationToken);
        if (go is null && DebianPackages.AreHere)
        {
            origin = DebianPackages.Name;
            environment["GOROOT"] = null;
            var (tree, _) = await progress.StepAsync($"Go from {origin}", report => DebianPackages.BringAsync("go-compiler", report, cancellationToken));
            var brought = Path.Combine(Directory.GetDirectories(Path.Combine(tree, "usr/lib"), "go-*")[0], "bin/go");
            go = await Versions.AskAsync(brought, "version", Versions.OldestGo, cancellationToken);
        }
        var (program, version) = go ?? throw new SetupException($"Go {Versions.OldestGo} or newer is needed. {Install.Go}");

        return await progress.StepAsync("Go libraries", async report =>
        {
            var packages = await Registry.AskAsync(
                "module proxy", program, "go-libraries", report,
                () => Registry.DownloadAsync(program, ["mod", "download"], Workspace.GoModule, environment, report, cancellationToken), cancellationToken);
            var vendor = Path.Combine(Workspace.GoModule, "vendor");
            if (packages is { } libraries)
            {
                var inputs = StampedFolder.Fingerprint([Path.Combine(Workspace.GoModule, "go.mod")], libraries.Contents);
                await StampedFolder.MakeAsync(vendor, "eng/debian/go-vendor.sh", Path.Combine(libraries.Tree, "usr/share/gocode/src"), inputs, report, cancellationToken);
                environment["GOPROXY"] = "off";
                environment["GOFLAGS"] = "-mod=vendor";
                return new GoTools(program, version, $"{origin}; libraries from {DebianPackages.Name}, in go-control-plane/vendor", environment, UsesDebianPackages: true);
            }
            if (StampedFolder.StampOf(vendor) is not null)
                Directory.Delete(vendor, recursive: true);
            return new GoTools(program, version, $"{origin}; libraries from the module proxy", environment);
        });
    }
}
