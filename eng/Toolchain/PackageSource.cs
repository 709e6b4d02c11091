namespace Hybrid.Toolchain;

/// <summary>What a system's package archive can bring, each as a folder of its own.</summary>
internal enum PackageSet
{
    /// <summary>The folder holds <c>bin/go</c>.</summary>
    GoCompiler,

    /// <summary>The folder is <c>go-control-plane/vendor</c>.</summary>
    GoLibraries,

    /// <summary>The folder holds protoc's plugins for Go.</summary>
    GoGenerators,

    /// <summary>The folder is a cargo directory source.</summary>
    RustCrates,

    /// <summary>The folder is the root of a tree in which <c>initdb</c> and <c>postgres</c> lie.</summary>
    Postgres,
}

/// <param name="Folder">What <see cref="PackageSet"/> describes.</param>
/// <param name="Contents">A fingerprint of the packages and their versions.</param>
internal sealed record BroughtPackages(string Folder, string Contents);

/// <summary>A system's package archive, for what the machine lacks and the public registries do not give.</summary>
internal interface IPackageSource
{
    /// <summary>Name for people, in the plural.</summary>
    string Name { get; }

    /// <summary>Brings a set into the private folder, unless what lies there was made from the same packages.</summary>
    /// <exception cref="SetupException">The archive does not answer, or lacks a package.</exception>
    Task<BroughtPackages> BringAsync(PackageSet set, Action<string> report, CancellationToken cancellationToken);
}

internal static class PackageSource
{
    /// <summary>This machine's archive, or null where none is known.</summary>
    public static IPackageSource? OfThisMachine { get; } = Debian.DebianPackages.IsDebian ? new Debian.DebianPackages() : null;
}
