namespace Hybrid.Toolchain;

/// <summary>
/// Public registries come first. One that did not answer is not asked again for a day: its refusal lies in a file whose first
/// line says what was asked with, and whose age is the refusal's.
/// </summary>
internal static class Registry
{
    private static readonly TimeSpan Kept = TimeSpan.FromDays(1);

    /// <summary>Asks a registry, or this machine's package archive where the registry does not answer.</summary>
    /// <param name="ask">Returns null when the registry gave everything, else what it said.</param>
    /// <returns>Null when the registry gave everything, else the packages that take its place.</returns>
    /// <exception cref="SetupException">Neither answers.</exception>
    public static async Task<BroughtPackages?> AskAsync(
        string registry, string inputs, Func<Task<string?>> ask, PackageSet substitute, Action<string> report, CancellationToken cancellationToken)
    {
        var source = PackageSource.OfThisMachine;
        if (source is null || RecentRefusal(registry, inputs) is null)
        {
            if (await ask() is not { } refusal)
                return null;
            if (source is null)
                throw new SetupException($"The {registry} does not answer, and this machine has no package archive to take its place.\n{refusal}");
            Remember(registry, inputs, refusal);
            report($"the {registry} does not answer; {source.Name} take its place");
        }
        return await source.BringAsync(substitute, report, cancellationToken);
    }

    /// <returns>What the registry said a day ago or less, when asked with the same inputs; else null.</returns>
    public static string? RecentRefusal(string registry, string inputs)
    {
        var file = FileOf(registry);
        if (!File.Exists(file) || DateTime.UtcNow - File.GetLastWriteTimeUtc(file) > Kept)
            return null;
        var lines = File.ReadAllLines(file);
        return lines.Length > 1 && lines[0] == inputs ? string.Join('\n', lines[1..]) : null;
    }

    public static void Remember(string registry, string inputs, string refusal)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(FileOf(registry))!);
        File.WriteAllText(FileOf(registry), $"{inputs}\n{refusal}");
    }

    private static string FileOf(string registry) => Path.Combine(Workspace.PrivateFolder, "refusals", registry.Replace(' ', '-'));
}
