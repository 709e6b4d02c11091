namespace Hybrid.Toolchain.Debian;

/// <summary>Unpacks Debian packages without root. The lists of packages lie beside this file.</summary>
internal sealed class DebianPackages : IPackageSource
{
    /// <summary>The release whose Go and Rust libraries match the versions that the manifests ask for.</summary>
    private const string LibrarySuite = "forky";

    /// <summary>In each unpacked tree: the names of its archives, with their versions.</summary>
    private const string Listing = "packages.txt";

    public static bool IsDebian { get; } =
        OperatingSystem.IsLinux() && Subprocess.Find("apt-get") is not null && Subprocess.Find("dpkg") is not null && ReleaseField("ID") == "debian";

    public string Name => "Debian packages";

    public async Task<BroughtPackages> BringAsync(PackageSet set, Action<string> report, CancellationToken cancellationToken)
    {
        Task<string> Unpack(string list, Func<string, bool> dependencies) => UnpackAsync(list, LibrarySuite, dependencies, false, report, cancellationToken);
        static bool None(string name) => false;
        var root = await (set switch
        {
            PackageSet.GoCompiler => Unpack("go-compiler", None),
            PackageSet.GoLibraries => Unpack("go-libraries", None),
            PackageSet.GoGenerators => Unpack("go-generators", None),
            PackageSet.RustCrates => Unpack("rust-crates", name => name.StartsWith("librust-", StringComparison.Ordinal)),
            // A server needs libraries of the machine's own release; those that the machine has need not be brought.
            PackageSet.Postgres => UnpackAsync("postgres", OwnSuite, _ => true, true, report, cancellationToken),
            _ => throw new ArgumentOutOfRangeException(nameof(set), set, null),
        });
        var contents = StampedFolder.Fingerprint([Path.Combine(root, Listing)]);
        return new BroughtPackages(set switch
        {
            PackageSet.GoCompiler => Directory.GetDirectories(Path.Combine(root, "usr/lib"), "go-*")[0],
            PackageSet.GoLibraries => await GoVendor.EnsureAsync(Path.Combine(root, "usr/share/gocode/src"), contents),
            PackageSet.GoGenerators => Path.Combine(root, "usr/bin"),
            PackageSet.RustCrates => Path.Combine(root, "usr/share/cargo/registry"),
            _ => root,
        }, contents);
    }

    /// <summary>Code name of the machine's own release.</summary>
    private static string OwnSuite => ReleaseField("VERSION_CODENAME");

    /// <param name="dependencies">Which packages to take too when a listed one depends on them.</param>
    private static Task<string> UnpackAsync(
        string list, string suite, Func<string, bool> dependencies, bool onlyMissing, Action<string> report, CancellationToken cancellationToken)
    {
        var file = Path.Combine(Workspace.Root, "eng/Toolchain/Debian", list + ".txt");
        string[] packages = [.. File.ReadLines(file).Where(line => line.Length > 0)];
        return StampedFolder.EnsureAsync(
            Path.Combine(Workspace.PrivateFolder, "debian", list),
            StampedFolder.Fingerprint([], [suite, .. packages]),
            async draft =>
            {
                var state = Path.Combine(draft, ".apt");
                var apt = new PrivateApt(suite, OwnSuite, onlyMissing, state);
                var archives = await apt.UnpackAsync(packages, dependencies, draft, report, cancellationToken);
                await File.WriteAllLinesAsync(Path.Combine(draft, Listing), archives.Order(StringComparer.Ordinal), cancellationToken);
                Directory.Delete(state, recursive: true);
            });
    }

    private static string ReleaseField(string name) =>
        !File.Exists("/etc/os-release")
            ? ""
            : File.ReadLines("/etc/os-release").Where(l => l.StartsWith(name + "=", StringComparison.Ordinal))
                .Select(l => l[(name.Length + 1)..].Trim('"')).FirstOrDefault("");
}
