using System.Reflection;

namespace Hybrid.Toolchain;

/// <summary>Where things lie in this clone, and where the packages of its build lie on this machine.</summary>
public static class Workspace
{
    /// <summary>The folder of <c>Hybrid.sln</c>.</summary>
    public static string Root { get; } = Path.TrimEndingDirectorySeparator(Metadata("RepositoryRoot"));

    /// <summary>The private folder for everything that the set-up brings; git ignores it.</summary>
    public static string PrivateFolder { get; } = Path.Combine(Root, ".toolchain");

    public static string GoModule { get; } = Path.Combine(Root, "go-control-plane");

    /// <summary>The twins in Go, a module of their own.</summary>
    public static string GoTwins { get; } = Path.Combine(Root, "Lab/twins/go");

    /// <summary>What grpc-go asks of a running data plane, a module of its own.</summary>
    public static string GrpcGo { get; } = Path.Combine(Root, "tests/GrpcGo");

    /// <summary>The folders of all Go modules.</summary>
    public static IReadOnlyList<string> GoModules { get; } = [GoModule, GoTwins, GrpcGo];

    internal static string RustSources { get; } = Path.Combine(Root, "rust-data-plane");
    internal static string LibrdkafkaPackage { get; } = Metadata("LibrdkafkaPackage");
    internal static string GrpcToolsPackage { get; } = Metadata("GrpcToolsPackage");

    private static string Metadata(string key) =>
        typeof(Workspace).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value
        ?? throw new InvalidOperationException($"The build left the assembly metadata '{key}' empty.");
}
