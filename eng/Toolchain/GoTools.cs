namespace Hybrid.Toolchain;

/// <summary>Go, and where the libraries of the Go modules come from.</summary>
/// <param name="Program">The <c>go</c> command.</param>
/// <param name="Origin">Where they come from, for people.</param>
/// <param name="Environment">What every call of <paramref name="Program"/> needs; a null value removes a variable.</param>
/// <param name="UsesDebianPackages">Whether the module proxy did not answer.</param>
public sealed record GoTools(
    string Program, Version Version, string Origin, IReadOnlyDictionary<string, string?> Environment, bool UsesDebianPackages);

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
                async () =>
                {
                    foreach (var module in Workspace.GoModules)
                        await Registry.DownloadAsync(program, ["mod", "download"], module, environment, report, cancellationToken);
                },
                cancellationToken);
            origin += "; libraries from " + (packages is null ? "the module proxy" : $"{DebianPackages.Name}, in the modules' vendor folders");
            foreach (var module in Workspace.GoModules)
            {
                var vendor = Path.Combine(module, "vendor");
                if (packages is null && StampedFolder.StampOf(vendor) is not null)
                    Directory.Delete(vendor, recursive: true);
                if (packages is { } libraries)
                {
                    var inputs = StampedFolder.Fingerprint([Path.Combine(module, "go.mod")], libraries.Contents);
                    var sources = Path.Combine(libraries.Tree, "usr/share/gocode/src");
                    await StampedFolder.MakeAsync(vendor, "eng/debian/go-vendor.sh", [sources, module], inputs, report, cancellationToken);
                    environment["GOPROXY"] = "off";
                    environment["GOFLAGS"] = "-mod=vendor";
                }
            }
            return new GoTools(program, version, origin, environment, UsesDebianPackages: packages is not null);
        });
    }
}
