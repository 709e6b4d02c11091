namespace Aspire.Hosting.Rust;

/// <summary>A Rust program. It is built by cargo before its first start, and runs as the program that came out.</summary>
/// <param name="name">Name of the resource.</param>
/// <param name="command">Path of the built program.</param>
/// <param name="workingDirectory">Where the program runs.</param>
public sealed class RustAppResource(string name, string command, string workingDirectory)
    : ExecutableResource(name, command, workingDirectory), IResourceWithServiceDiscovery;
