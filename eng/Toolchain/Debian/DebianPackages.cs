using System.Text.RegularExpressions;

namespace Hybrid.Toolchain.Debian;

/// <summary>
/// Brings Debian packages into a folder of ours with apt's own downloader (hashes, proxies, retries, resumption are apt's),
/// under a private state, so that nothing of the machine changes and no root is needed.
/// </summary>
internal sealed partial class DebianPackages
{
    private const int ParallelDownloads = 4;
    private const int PackagesPerDownload = 40;

    private readonly string suite;
    private readonly string folder;
    private readonly bool onlyMissing;

    /// <param name="suite">Debian release to take packages from.</param>
    /// <param name="onlyMissing">True to leave out what the machine has installed: right only for the machine's own release.</param>
    public DebianPackages(string suite, bool onlyMissing = false)
    {
        this.suite = suite;
        this.onlyMissing = onlyMissing;
        folder = Path.Combine(Workspace.PrivateFolder, "apt", suite);
    }

    /// <summary>Whether this machine is a Debian with its tools.</summary>
    public static bool Available { get; } =
        OperatingSystem.IsLinux() && Subprocess.Find("apt-get") is not null && Subprocess.Find("dpkg") is not null
        && ReleaseField("ID") == "debian";

    /// <summary>Code name of the machine's own release.</summary>
    public static string OwnSuite => ReleaseField("VERSION_CODENAME");

    /// <summary>Brings the packages, and of their dependencies those that <paramref name="wanted"/> names.</summary>
    /// <param name="target">Folder that becomes the root of the unpacked trees.</param>
    public async Task BringAsync(
        IReadOnlyCollection<string> packages, Func<string, bool> wanted, string target, Action<string> report, CancellationToken cancellationToken)
    {
        await PrepareAsync(report, cancellationToken);
        report("resolving packages");
        var listing = await AptAsync(["--print-uris", "-y", "install", .. packages], cancellationToken);
        var names = UriLine().Matches(listing).Select(m => m.Groups["file"].Value.Split('_')[0])
            .Where(name => packages.Contains(name) || wanted(name)).Distinct().Where(name => !File.Exists(Stamp(name))).ToList();

        var archives = Path.Combine(folder, "archives");
        Directory.CreateDirectory(archives);
        Directory.CreateDirectory(target);
        var finished = 0;
        await Parallel.ForEachAsync(
            names.Chunk(PackagesPerDownload),
            new ParallelOptions { MaxDegreeOfParallelism = ParallelDownloads, CancellationToken = cancellationToken },
            async (chunk, token) =>
            {
                await AptAsync(["-q", "download", .. chunk], token, archives);
                foreach (var name in chunk)
                {
                    await UnpackAsync(archives, name, target, token);
                    report($"{Interlocked.Increment(ref finished)} of {names.Count} packages");
                }
            });
    }

    private async Task UnpackAsync(string archives, string name, string target, CancellationToken cancellationToken)
    {
        var archive = Directory.GetFiles(archives, name + "_*.deb").FirstOrDefault()
            ?? throw new SetupException($"apt-get downloaded no archive of {name}.");
        var unpacked = await Subprocess.RunAsync("dpkg", ["-x", archive, target], cancellationToken: cancellationToken);
        if (!unpacked.Succeeded)
        {
            File.Delete(archive);
            throw new SetupException($"dpkg could not unpack {name}: {unpacked.Tail()}");
        }
        File.WriteAllText(Stamp(name), Path.GetFileName(archive));
        File.Delete(archive);
    }

    private string Stamp(string name) => Path.Combine(folder, "unpacked", name);

    private async Task PrepareAsync(Action<string> report, CancellationToken cancellationToken)
    {
        foreach (var part in (string[])["state/lists/partial", "cache/archives/partial", "unpacked"])
            Directory.CreateDirectory(Path.Combine(folder, part));
        File.WriteAllText(Path.Combine(folder, "status"), "");
        var sources = Path.Combine(folder, "sources.list");
        if (!File.Exists(sources))
        {
            // The machine's own sources tell the mirror; its lists need not have been downloaded for that.
            var own = await RunAptAsync(["--print-uris", "update"], ownSources: true, cancellationToken);
            var mirror = MirrorLine().Matches(own.Output).Select(m => m.Groups["base"].Value).FirstOrDefault(m => !m.EndsWith("-security", StringComparison.Ordinal))
                ?? throw new SetupException("apt names no Debian mirror. Check that `apt-get update` works on this machine.");
            var keyring = Directory.GetFiles("/usr/share/keyrings", "debian-archive-keyring.*").OrderBy(f => f, StringComparer.Ordinal).FirstOrDefault()
                ?? throw new SetupException("The package debian-archive-keyring is missing: apt-get install debian-archive-keyring");
            File.WriteAllText(sources, $"deb [signed-by={keyring}] {mirror} {suite} main\n");
        }
        report("reading Debian's package lists");
        await AptAsync(["-q", "update"], cancellationToken);
    }

    private async Task<string> AptAsync(IEnumerable<string> arguments, CancellationToken cancellationToken, string? workingDirectory = null)
    {
        var result = await RunAptAsync(arguments, ownSources: false, cancellationToken, workingDirectory);
        return result.Succeeded
            ? result.Output
            : throw new SetupException($"apt-get failed for Debian {suite}; is its mirror reachable?\n{result.Tail()}");
    }

    private Task<SubprocessResult> RunAptAsync(
        IEnumerable<string> arguments, bool ownSources, CancellationToken cancellationToken, string? workingDirectory = null)
    {
        List<string> options =
        [
            $"Dir::State={folder}/state",
            $"Dir::State::status={(onlyMissing ? "/var/lib/dpkg/status" : folder + "/status")}",
            $"Dir::Cache={folder}/cache",
            "APT::Install-Recommends=false",
            "APT::Sandbox::User=root",
            "Acquire::Retries=5",
            "Acquire::Languages=none",
        ];
        if (!ownSources)
            options.AddRange([$"Dir::Etc::sourcelist={folder}/sources.list", "Dir::Etc::sourceparts=/dev/null"]);
        return Subprocess.RunAsync(
            "apt-get", [.. options.SelectMany(o => (string[])["-o", o]), .. arguments], workingDirectory, cancellationToken: cancellationToken);
    }

    private static string ReleaseField(string name) =>
        !File.Exists("/etc/os-release")
            ? ""
            : File.ReadLines("/etc/os-release").Where(l => l.StartsWith(name + "=", StringComparison.Ordinal))
                .Select(l => l[(name.Length + 1)..].Trim('"')).FirstOrDefault("");

    [GeneratedRegex("^'(?<uri>[^']+)' (?<file>\\S+\\.deb) ", RegexOptions.Multiline)]
    private static partial Regex UriLine();

    [GeneratedRegex("^'(?<base>[^']+)/dists/[^/]+/InRelease'", RegexOptions.Multiline)]
    private static partial Regex MirrorLine();
}
