using System.Collections.Concurrent;
using System.Text.RegularExpressions;

namespace Hybrid.Toolchain.Debian;

/// <summary>
/// apt-get with sources and state of its own, so that nothing of the machine changes and no root is needed. Hashes, proxies,
/// retries and resumption are apt's.
/// </summary>
internal sealed partial class PrivateApt
{
    private const int ParallelDownloads = 4;
    private const int PackagesPerDownload = 40;

    private readonly string suite;
    private readonly string folder;
    private readonly bool onlyMissing;

    private PrivateApt(string suite, bool onlyMissing)
    {
        this.suite = suite;
        this.onlyMissing = onlyMissing;
        folder = Path.Combine(Workspace.PrivateFolder, "apt", suite);
    }

    private string Sources => Path.Combine(folder, "sources.list");

    /// <summary>Reads the package lists of a Debian release from the mirror that the machine uses.</summary>
    /// <param name="ownSuite">The machine's own release.</param>
    /// <param name="onlyMissing">True to count what the machine has installed as there: right only for its own release.</param>
    public static async Task<PrivateApt> OpenAsync(
        string suite, string ownSuite, bool onlyMissing, Action<string> report, CancellationToken cancellationToken)
    {
        var apt = new PrivateApt(suite, onlyMissing);
        foreach (var part in (string[])["state/lists/partial", "cache/archives/partial"])
            Directory.CreateDirectory(Path.Combine(apt.folder, part));
        await File.WriteAllTextAsync(Path.Combine(apt.folder, "status"), "", cancellationToken);
        var keyring = Directory.GetFiles("/usr/share/keyrings", "debian-archive-keyring.*").Order(StringComparer.Ordinal).FirstOrDefault()
            ?? throw new SetupException("The package debian-archive-keyring is missing: apt-get install debian-archive-keyring");
        report("reading Debian's package lists");

        // The machine's own sources name the mirror; its package lists need not have been downloaded for that.
        var own = await apt.RunAsync(["--print-uris", "update"], ownSources: true, cancellationToken);
        SubprocessResult? update = null;
        foreach (var mirror in DebianMirrors.Candidates(own.Output, ownSuite))
        {
            await File.WriteAllTextAsync(apt.Sources, $"deb [signed-by={keyring}] {mirror} {suite} main\n", cancellationToken);
            update = await apt.RunAsync(["-q", "-o", "APT::Update::Error-Mode=any", "update"], ownSources: false, cancellationToken);
            if (update.Succeeded)
                return apt;
        }
        throw new SetupException(update is null
            ? "apt names no mirror of Debian's main archive. Check that `apt-get update` works on this machine."
            : $"The package lists of Debian {suite} cannot be read. Check that `apt-get update` works on this machine.\n{update.Tail()}");
    }

    /// <returns>The names of the packages and of everything that they depend on.</returns>
    public async Task<IReadOnlyList<string>> ResolveAsync(IEnumerable<string> packages, CancellationToken cancellationToken)
    {
        var listing = await CheckedAsync(["--print-uris", "-y", "install", .. packages], null, cancellationToken);
        return [.. ArchiveUri().Matches(listing).Select(m => m.Groups["file"].Value.Split('_')[0]).Distinct()];
    }

    /// <summary>Downloads packages and unpacks them into one tree.</summary>
    /// <returns>The names of the archives.</returns>
    public async Task<IReadOnlyCollection<string>> UnpackAsync(
        IReadOnlyCollection<string> packages, string target, Action<string> report, CancellationToken cancellationToken)
    {
        ConcurrentBag<string> finished = [];
        await Parallel.ForEachAsync(
            packages.Chunk(PackagesPerDownload),
            new ParallelOptions { MaxDegreeOfParallelism = ParallelDownloads, CancellationToken = cancellationToken },
            async (chunk, token) =>
            {
                var archives = Directory.CreateDirectory(Path.Combine(target, ".archives", chunk[0])).FullName;
                await CheckedAsync(["-q", "download", .. chunk], archives, token);
                foreach (var archive in Directory.GetFiles(archives, "*.deb"))
                {
                    var unpacked = await Subprocess.RunAsync("dpkg", ["-x", archive, target], cancellationToken: token);
                    if (!unpacked.Succeeded)
                        throw new SetupException($"dpkg could not unpack {Path.GetFileName(archive)} into {target}: {unpacked.Tail()}");
                    finished.Add(Path.GetFileName(archive));
                    report($"{finished.Count} of {packages.Count} packages");
                }
            });
        if (finished.Count != packages.Count)
            throw new SetupException($"apt-get brought {finished.Count} of {packages.Count} packages.");
        Directory.Delete(Path.Combine(target, ".archives"), recursive: true);
        return finished;
    }

    private async Task<string> CheckedAsync(IEnumerable<string> arguments, string? workingDirectory, CancellationToken cancellationToken)
    {
        var result = await RunAsync(arguments, ownSources: false, cancellationToken, workingDirectory);
        return result.Succeeded ? result.Output : throw new SetupException($"apt-get failed for Debian {suite}:\n{result.Tail()}");
    }

    private Task<SubprocessResult> RunAsync(
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
            options.AddRange([$"Dir::Etc::sourcelist={Sources}", "Dir::Etc::sourceparts=/dev/null"]);
        return Subprocess.RunAsync(
            "apt-get", [.. options.SelectMany(o => (string[])["-o", o]), .. arguments], workingDirectory, cancellationToken: cancellationToken);
    }

    [GeneratedRegex("^'[^']+' (?<file>\\S+\\.deb) ", RegexOptions.Multiline)]
    private static partial Regex ArchiveUri();
}
