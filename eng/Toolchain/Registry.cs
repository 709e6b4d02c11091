namespace Hybrid.Toolchain;

/// <summary>
/// Public registries come first. One that did not answer is not asked again for a day: its refusal lies in a file whose first
/// line says what was asked with, and whose age is the refusal's.
/// </summary>
internal static class Registry
{
    /// <summary>Asks a registry, or Debian's archive where the registry does not answer.</summary>
    /// <param name="substitute">The list of Debian packages that take its place.</param>
    /// <param name="ask">Throws a <see cref="SetupException"/> unless the registry gave everything.</param>
    /// <returns>Null when the registry gave everything, else what <see cref="DebianPackages.BringAsync"/> returns.</returns>
    /// <exception cref="SetupException">Neither answers.</exception>
    public static async Task<(string Tree, string Contents)?> AskAsync(
        string registry, string inputs, string substitute, Action<string> report, Func<Task> ask, CancellationToken cancellationToken)
    {
        if (!DebianPackages.AreHere || RecentRefusal(registry, inputs) is null)
        {
            try
            {
                await ask();
                return null;
            }
            catch (SetupException refusal) when (DebianPackages.AreHere)
            {
                Remember(registry, inputs, refusal.Message);
                report($"the {registry} does not answer; {DebianPackages.Name} take its place");
            }
        }
        return await DebianPackages.BringAsync(substitute, report, cancellationToken);
    }

    /// <summary>Has go or cargo download from its registry.</summary>
    public static async Task DownloadAsync(
        string program, string[] arguments, string folder, IReadOnlyDictionary<string, string?> environment, Action<string> report,
        CancellationToken cancellationToken)
    {
        void ReportDownload(string line)
        {
            if (line.Contains("go: downloading", StringComparison.Ordinal) || line.Contains(" Downloaded", StringComparison.Ordinal))
                report(line.Trim());
        }

        var download = await Subprocess.RunAsync(
            program, arguments, folder, environment, TimeSpan.FromMinutes(5), ReportDownload, cancellationToken: cancellationToken);
        download.ThrowIfFailed($"{Path.GetFileName(program)} {string.Join(' ', arguments)} failed:");
    }

    /// <returns>What the registry said a day ago or less, when asked with the same inputs; else null.</returns>
    public static string? RecentRefusal(string registry, string inputs)
    {
        var file = new FileInfo(FileOf(registry));
        var isRecent = file.Exists && DateTime.UtcNow - file.LastWriteTimeUtc < TimeSpan.FromDays(1);
        return isRecent && File.ReadAllLines(file.FullName) is [var asked, _, ..] lines && asked == inputs ? string.Join('\n', lines[1..]) : null;
    }

    public static void Remember(string registry, string inputs, string refusal)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(FileOf(registry))!);
        File.WriteAllText(FileOf(registry), $"{inputs}\n{refusal}");
    }

    private static string FileOf(string registry) => Path.Combine(Workspace.PrivateFolder, "refusals", registry.Replace(' ', '-'));
}
