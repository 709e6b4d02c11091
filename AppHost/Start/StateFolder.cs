using Hybrid.Toolchain;

namespace Hybrid.AppHost.Start;

/// <summary>The folder that survives restarts: one folder per resource, and <c>endpoints.json</c>. One host at a time uses it.</summary>
internal sealed class StateFolder(string root) : IDisposable
{
    private const string Lock = "apphost.lock";
    private const string Mark = ".hybrid-state";

    private FileStream? hold;

    /// <summary>Absolute path.</summary>
    public string Root { get; } = root;

    public string EndpointsFile => Path.Combine(Root, "endpoints.json");

    /// <summary>Path of the folder of one resource; it exists once the state folder is open.</summary>
    public string FolderOf(string resource) => Path.Combine(Root, resource);

    /// <summary>Creates the folder, takes its lock, and with <paramref name="fresh"/> removes what earlier starts left in it.</summary>
    /// <exception cref="SetupException">The folder cannot be used; the message names it and the remedy.</exception>
    public void Open(bool fresh)
    {
        try
        {
            Directory.CreateDirectory(Root);
            hold = TakeLock();
            if (fresh)
                Clear();
            File.WriteAllText(Path.Combine(Root, Mark), "");
            if (Environment.IsPrivilegedProcess)
                LetOthersPass();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SetupException($"The state folder {Root} cannot be used: {e.Message} Name another with --state DIR.", e);
        }
    }

    public void Dispose() => hold?.Dispose();

    // Two hosts on one folder would run two servers on one data folder, and --fresh would remove it under the other.
    private FileStream TakeLock()
    {
        try
        {
            return new FileStream(Path.Combine(Root, Lock), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(Path.Combine(Root, Lock)))
        {
            throw new SetupException($"Another start of Hybrid uses {Root}. Stop it, or name another folder with --state DIR (and --random-ports).", e);
        }
    }

    /// <summary>Removes a whole tree, so only one that carries our mark, or is empty.</summary>
    private void Clear()
    {
        if (Directory.EnumerateFileSystemEntries(Root).All(entry => Path.GetFileName(entry) == Lock))
            return;
        if (!File.Exists(Path.Combine(Root, Mark)))
            throw new SetupException($"--fresh would remove {Root}, but that is no state folder of Hybrid. Name another with --state DIR.");
        foreach (var entry in Directory.EnumerateDirectories(Root))
            Directory.Delete(entry, recursive: true);
        File.Delete(EndpointsFile);
    }

    /// <summary>Postgres does not run as root; the plain user that it runs as must be able to reach its folder.</summary>
    private void LetOthersPass()
    {
        File.SetUnixFileMode(Root, File.GetUnixFileMode(Root) | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        for (var parent = Path.GetDirectoryName(Root); parent is not null; parent = Path.GetDirectoryName(parent))
        {
            if (!File.GetUnixFileMode(parent).HasFlag(UnixFileMode.OtherExecute))
                throw new SetupException(
                    $"{parent} is closed to other users, so Postgres (which does not run as root) could not reach {Root}. Name another folder with --state DIR.");
        }
    }
}
