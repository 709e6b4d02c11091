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

    /// <summary>Removes the folder if it was made by <see cref="EnsureAsync"/>.</summary>
    public static void Remove(string folder)
    {
        if (StampOf(folder) is not null)
            Directory.Delete(folder, recursive: true);
    }

    /// <summary>A short text that changes whenever one of the files or texts does.</summary>
    public static string Fingerprint(IEnumerable<string> files, params string[] texts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var bytes in (IEnumerable<byte[]>)[.. files.Select(File.ReadAllBytes), .. texts.Select(Encoding.UTF8.GetBytes)])
            hash.AppendData(SHA256.HashData(bytes));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
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
