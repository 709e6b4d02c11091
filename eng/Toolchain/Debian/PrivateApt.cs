using System.Collections.Concurrent;
using System.Text.RegularExpressions;

namespace Hybrid.Toolchain.Debian;

/// <summary>
/// apt-get with sources and state of its own, so that nothing of the machine changes and no root is needed. Hashes, proxies,
/// retries and resumption are apt's.
/// </summary>
/// <param name="suite">The Debian release to take packages from.</param>
/// <param name="ownSuite">The machine's own release.</param>
/// <param name="onlyMissing">True to count what the machine has installed as there: right only for its own release.</param>
/// <param name="folder">Folder for its state.</param>
internal sealed partial class PrivateApt(string suite, string ownSuite, bool onlyMissing, string folder)
{
    private const int ParallelDownloads = 4;
    private const int PackagesPerDownload = 40;

    private string Sources => Path.Combine(folder, "sources.list");

    /// <summary>Downloads packages and unpacks them into one tree.</summary>
    /// <param name="dependencies">Which packages to take too when a wanted one depends on them.</param>
    /// <returns>The names of the archives.</returns>
    public async Task<IReadOnlyCollection<string>> UnpackAsync(
        IReadOnlyCollection<string> packages, Func<string, bool> dependencies, string target, Action<string> report, CancellationToken cancellationToken)
    {
        report("reading Debian's package lists");
        await ReadListsAsync(cancellationToken);
        report("resolving packages");
        var closure = await CheckedAsync(["--print-uris", "-y", "install", .. packages], null, cancellationToken);
        List<string> names =
        [
            .. ArchiveUri().Matches(closure).Select(m => m.Groups["file"].Value.Split('_')[0]).Distinct()
                .Where(name => packages.Contains(name) || dependencies(name)),
        ];
        if (names.Count == 0)
            throw new SetupException($"apt counts {string.Join(", ", packages)} as installed, so there is nothing to bring. Install it anew: apt-get install --reinstall");

        ConcurrentBag<string> unpacked = [];
        await Parallel.ForEachAsync(
            names.Chunk(PackagesPerDownload),
            new ParallelOptions { MaxDegreeOfParallelism = ParallelDownloads, CancellationToken = cancellationToken },
            async (chunk, token) =>
            {
                var archives = Directory.CreateDirectory(Path.Combine(folder, "downloads", chunk[0])).FullName;
                await CheckedAsync(["-q", "download", .. chunk], archives, token);
                foreach (var archive in Directory.GetFiles(archives, "*.deb"))
                {
                    var result = await Subprocess.RunAsync("dpkg", ["-x", archive, target], cancellationToken: token);
                    if (!result.Succeeded)
                        throw new SetupException($"dpkg could not unpack {Path.GetFileName(archive)} into {target}: {result.Tail()}");
                    unpacked.Add(Path.GetFileName(archive));
                    report($"{unpacked.Count} of {names.Count} packages");
                }
            });
        if (unpacked.Count != names.Count)
            throw new SetupException($"apt-get brought {unpacked.Count} of {names.Count} packages.");
        return unpacked;
    }

    /// <summary>Reads the package lists from the mirror that the machine uses.</summary>
    private async Task ReadListsAsync(CancellationToken cancellationToken)
    {
        foreach (var part in (string[])["state/lists/partial", "cache/archives/partial"])
            Directory.CreateDirectory(Path.Combine(folder, part));
        await File.WriteAllTextAsync(Path.Combine(folder, "status"), "", cancellationToken);
        var keyring = Directory.GetFiles("/usr/share/keyrings", "debian-archive-keyring.*").Order(StringComparer.Ordinal).FirstOrDefault()
            ?? throw new SetupException("The package debian-archive-keyring is missing: apt-get install debian-archive-keyring");

        // The machine's own sources name the mirror; its package lists need not have been downloaded for that.
        var own = await RunAsync(["--print-uris", "update"], ownSources: true, null, cancellationToken);
        var failure = "apt names no mirror of Debian's main archive.";
        foreach (var mirror in DebianMirrors.Candidates(own.Output, ownSuite))
        {
            await File.WriteAllTextAsync(Sources, $"deb [signed-by={keyring}] {mirror} {suite} main\n", cancellationToken);
            var update = await RunAsync(["-q", "-o", "APT::Update::Error-Mode=any", "update"], ownSources: false, null, cancellationToken);
            if (update.Succeeded)
                return;
            failure = $"The package lists of Debian {suite} cannot be read.\n{update.Tail()}";
        }
        throw new SetupException($"{failure}\nCheck that `apt-get update` works on this machine.");
    }

    private async Task<string> CheckedAsync(IEnumerable<string> arguments, string? workingDirectory, CancellationToken cancellationToken)
    {
        var result = await RunAsync(arguments, ownSources: false, workingDirectory, cancellationToken);
        return result.Succeeded ? result.Output : throw new SetupException($"apt-get failed for Debian {suite}:\n{result.Tail()}");
    }

    private Task<SubprocessResult> RunAsync(
        IEnumerable<string> arguments, bool ownSources, string? workingDirectory, CancellationToken cancellationToken)
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
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        ];
        if (!ownSources)
            options.AddRange([$"Dir::Etc::sourcelist={Sources}", "Dir::Etc::sourceparts=/dev/null"]);
        return Subprocess.RunAsync(
            "apt-get", [.. options.SelectMany(o => (string[])["-o", o]), .. arguments], workingDirectory, cancellationToken: cancellationToken);
    }

    [GeneratedRegex("^'[^']+' (?<file>\\S+\\.deb) ", RegexOptions.Multiline)]
    private static partial Regex ArchiveUri();
}
