using System.Text.RegularExpressions;

namespace Hybrid.Toolchain.Debian;

/// <summary>
/// Makes <c>go-control-plane/vendor</c> out of unpacked Debian packages, so that plain <c>go build</c>, <c>go test</c> and
/// gopls work where no module proxy answers. <c>go.mod</c> stays the public one: <c>vendor/modules.txt</c> claims the versions
/// that it requires, and the sources behind it are links to Debian's.
/// </summary>
internal static partial class GoVendor
{
    // Debian's versions of the required modules import these; the newer public ones do not, so go.mod cannot name them.
    // Go refuses a vendored module that go.mod lacks, but not packages listed under the last module that it has.
    private static readonly string[] ImportedByDebianOnly =
    [
        "github.com/golang/protobuf", "github.com/pmezard/go-difflib", "gopkg.in/yaml.v3", "github.com/eapache/queue", "github.com/golang/snappy",
    ];

    private static readonly string Manifest = Path.Combine(Workspace.GoModule, "go.mod");

    /// <param name="sources">Debian's GOPATH source folder.</param>
    /// <param name="contents">Fingerprint of the packages in it.</param>
    /// <returns>The vendor folder.</returns>
    public static Task<string> EnsureAsync(string sources, string contents) => StampedFolder.EnsureAsync(
        Workspace.GoVendor, StampedFolder.Fingerprint([Manifest], sources, contents), draft =>
        {
            Generate(sources, draft);
            return Task.CompletedTask;
        });

    private static void Generate(string sources, string vendor)
    {
        var modules = Requirement().Matches(File.ReadAllText(Manifest))
            .Select(m => (Path: m.Groups["path"].Value, Version: m.Groups["version"].Value)).ToList();
        string[] all = [.. modules.Select(m => m.Path), .. ImportedByDebianOnly];

        var listing = new List<string>();
        foreach (var (path, version) in modules)
        {
            listing.AddRange([$"# {path} {version}", "## explicit; go 1.24"]);
            listing.AddRange(Link(sources, path, all, vendor));
        }
        foreach (var path in ImportedByDebianOnly)
            listing.AddRange(Link(sources, path, all, vendor));
        File.WriteAllLines(Path.Combine(vendor, "modules.txt"), listing);
    }

    /// <summary>Links one module in and returns the import paths of its packages. A module that Debian lacks has none.</summary>
    private static IEnumerable<string> Link(string sources, string module, string[] all, string vendor)
    {
        // Debian leaves the major version out of some paths.
        var folder = ((string[])[module, MajorVersion().Replace(module, "")]).Select(m => Path.Combine(sources, m)).FirstOrDefault(Directory.Exists);
        if (folder is null)
            return [];
        var packages = Packages(folder, module, all).OrderBy(p => p.ImportPath, StringComparer.Ordinal).ToList();
        var nests = all.Any(other => other.StartsWith(module + "/", StringComparison.Ordinal) || module.StartsWith(other + "/", StringComparison.Ordinal));
        if (nests)
        {
            foreach (var package in packages)
                LinkFiles(package.Folder, Path.Combine(vendor, package.ImportPath));
        }
        else
        {
            var target = Path.Combine(vendor, module);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            Directory.CreateSymbolicLink(target, folder);
        }
        return packages.Select(p => p.ImportPath);
    }

    private static void LinkFiles(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from))
        {
            var link = Path.Combine(to, Path.GetFileName(file));
            if (!File.Exists(link))
                File.CreateSymbolicLink(link, file);
        }
    }

    private static IEnumerable<(string ImportPath, string Folder)> Packages(string folder, string importPath, string[] modules)
    {
        if (Directory.EnumerateFiles(folder, "*.go").Any(f => !f.EndsWith("_test.go", StringComparison.Ordinal)))
            yield return (importPath, folder);
        foreach (var child in Directory.EnumerateDirectories(folder))
        {
            var name = Path.GetFileName(child);
            var path = importPath + "/" + name;
            if (name is "testdata" or "vendor" || name[0] is '.' or '_' || modules.Contains(path))
                continue;
            foreach (var package in Packages(child, path, modules))
                yield return package;
        }
    }

    [GeneratedRegex(@"^\s*(?:require\s+)?(?<path>[\w.~-]+\.[\w.~-]+/[\w./~-]+)\s+(?<version>v\S+)", RegexOptions.Multiline)]
    private static partial Regex Requirement();

    [GeneratedRegex(@"/v\d+$")]
    private static partial Regex MajorVersion();
}
