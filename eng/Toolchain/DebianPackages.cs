namespace Hybrid.Toolchain;

/// <summary>Debian's archive, for what the machine lacks and the public registries do not give. The scripts are in eng/debian.</summary>
internal static class DebianPackages
{
    /// <summary>Name for people, in the plural.</summary>
    public const string Name = "Debian packages";

    private const string Release = "/etc/os-release";

    public static bool AreHere { get; } = OperatingSystem.IsLinux()
        && Subprocess.Find("apt-get") is not null && Subprocess.Find("dpkg") is not null && File.ReadLines(Release).Contains("ID=debian");

    /// <summary>Unpacks the packages of a list into the private folder, unless what lies there was made from the same list.</summary>
    /// <returns>The root of their tree, and a fingerprint of the packages in it and their versions.</returns>
    /// <exception cref="SetupException">The archive does not answer, or lacks a package.</exception>
    public static async Task<(string Tree, string Contents)> BringAsync(string list, Action<string> report, CancellationToken cancellationToken)
    {
        var codename = File.ReadLines(Release).FirstOrDefault(line => line.StartsWith("VERSION_CODENAME=", StringComparison.Ordinal), "");
        var inputs = StampedFolder.Fingerprint([Path.Combine(Workspace.Root, $"eng/debian/{list}.txt")], codename);
        var tree = await StampedFolder.MakeAsync(
            Path.Combine(Workspace.PrivateFolder, "debian", list), "eng/debian/unpack.sh", [list], inputs, report, cancellationToken);
        return (tree, StampedFolder.Fingerprint([Path.Combine(tree, "packages.txt")]));
    }
}
