namespace Hybrid.Toolchain.Debian;

/// <summary>The Debian release whose Go and Rust libraries match the versions that the manifests ask for.</summary>
internal static class DebianSuite
{
    public const string Name = "forky";
}
