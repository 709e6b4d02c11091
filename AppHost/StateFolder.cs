namespace Hybrid.AppHost;

/// <summary>The folder that survives restarts: one folder per resource, logs, and <c>endpoints.json</c>.</summary>
internal sealed class StateFolder : IDisposable
{
    private const string Lock = "apphost.lock";
    private const string Mark = ".hybrid-state";

    private readonly FileStream hold;

    public StateFolder(string root, bool fresh)
    {
        Root = root;
        Directory.CreateDirectory(root);
        hold = Hold(root);
        // --fresh removes a whole tree: only one that carries our mark, or is empty.
        if (fresh && Directory.EnumerateFileSystemEntries(root).Any(entry => Path.GetFileName(entry) != Lock))
        {
            if (!File.Exists(Path.Combine(root, Mark)))
                throw new Toolchain.SetupException($"--fresh would remove {root}, but that is no state folder of Hybrid. Name another with --state.");
            foreach (var entry in Directory.EnumerateDirectories(root))
                Directory.Delete(entry, recursive: true);
        }
        File.WriteAllText(Path.Combine(root, Mark), "");
        if (!OperatingSystem.IsWindows() && Environment.IsPrivilegedProcess)
            LetOthersPass(root);
    }

    public string Root { get; }

    public string EndpointsFile => Path.Combine(Root, "endpoints.json");

    public string FolderOf(string resource)
    {
        var folder = Path.Combine(Root, resource);
        Directory.CreateDirectory(folder);
        return folder;
    }

    public void Dispose() => hold.Dispose();

    /// <summary>Two hosts on one folder would run two servers on one data folder, and --fresh would pull it from under the other.</summary>
    private static FileStream Hold(string root)
    {
        try
        {
            return new FileStream(Path.Combine(root, Lock), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            throw new Toolchain.SetupException($"Another start of Hybrid uses {root}. Stop it, or name another folder with --state DIR (and --random-ports).");
        }
    }

    /// <summary>Postgres will not run as root; the plain user it runs as must be able to reach its folder.</summary>
    [System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
    private static void LetOthersPass(string root)
    {
        File.SetUnixFileMode(root, File.GetUnixFileMode(root) | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        for (var parent = Path.GetDirectoryName(root); parent is not null; parent = Path.GetDirectoryName(parent))
        {
            if (!File.GetUnixFileMode(parent).HasFlag(UnixFileMode.OtherExecute))
                throw new Toolchain.SetupException(
                    $"{parent} is closed to other users, so Postgres (which does not run as root) could not reach {root}. Name another folder with --state.");
        }
    }
}
