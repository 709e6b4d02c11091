using System.Security.Cryptography;
using System.Text;

namespace Hybrid.Toolchain;

/// <summary>
/// A folder that is complete or not there: it is filled as a draft, stamped with a fingerprint of what it was made from, and
/// renamed. A process that is killed at any point leaves at most a draft. Only the holder of <see cref="SetupLock"/> makes one.
/// </summary>
internal static class StampedFolder
{
    private const string Stamp = ".made-from";
    private const string ProgressMark = "progress: ";
    private static readonly string Drafts = Path.Combine(Workspace.PrivateFolder, "drafts");

    /// <summary>The stamp of a folder, or null when the folder is not there or was not made by <see cref="EnsureAsync"/>.</summary>
    public static string? StampOf(string folder) =>
        Path.Combine(folder, Stamp) is var file && File.Exists(file) ? File.ReadAllText(file) : null;

    /// <summary>Makes the folder, unless it is there and was made from the same inputs.</summary>
    /// <param name="fill">Fills the draft, whose path it is given.</param>
    /// <returns><paramref name="folder"/>.</returns>
    public static async Task<string> EnsureAsync(string folder, string inputs, Func<string, Task> fill)
    {
        if (StampOf(folder) == inputs)
            return folder;
        RemoveOldDrafts();
        var draft = Directory.CreateDirectory(Path.Combine(Drafts, Path.GetRandomFileName())).FullName;
        await fill(draft);
        File.WriteAllText(Path.Combine(draft, Stamp), inputs);
        if (Directory.Exists(folder))
            Directory.Move(folder, draft + ".old");
        Directory.CreateDirectory(Path.GetDirectoryName(folder)!);
        Directory.Move(draft, folder);
        RemoveOldDrafts();
        return folder;
    }

    /// <summary>
    /// Makes the folder by a script, which is given what to make it from, and the draft. Its lines that begin with "progress: "
    /// are reported; all others say why it failed.
    /// </summary>
    public static Task<string> MakeAsync(
        string folder, string script, string[] from, string inputs, Action<string> report, CancellationToken cancellationToken)
    {
        var program = Path.Combine(Workspace.Root, script);
        return EnsureAsync(folder, Fingerprint([program], [.. from, inputs]), async draft =>
        {
            bool IsProgress(string line) => line.StartsWith(ProgressMark, StringComparison.Ordinal);
            var result = await Subprocess.RunAsync(program, [.. from, draft], cancellationToken: cancellationToken, onLine: line =>
            {
                if (IsProgress(line))
                    report(line[ProgressMark.Length..]);
            });
            if (!result.Succeeded)
                throw new SetupException(string.Join('\n', result.Output.TrimEnd().Split('\n').Where(line => !IsProgress(line))));
        });
    }

    /// <summary>A short text that changes whenever one of the files or texts does.</summary>
    public static string Fingerprint(IEnumerable<string> files, params string[] texts)
    {
        // Hashes of hashes: where one input ends and the next begins counts too.
        var hashes = files.Select(File.ReadAllBytes).Concat(texts.Select(Encoding.UTF8.GetBytes)).SelectMany(SHA256.HashData);
        return Convert.ToHexStringLower(SHA256.HashData(hashes.ToArray()))[..16];
    }

    private static void RemoveOldDrafts()
    {
        foreach (var draft in Directory.CreateDirectory(Drafts).EnumerateDirectories())
        {
            try
            {
                draft.Delete(recursive: true);
            }
            catch (IOException)
            {
                // A child of a process that was killed still writes there; a later run removes it.
            }
        }
    }
}
