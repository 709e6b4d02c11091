namespace Aspire.Hosting.Go;

/// <summary>A Go program. It is built by the set-up's Go before its first start, and runs as the program that came out.</summary>
/// <param name="name">Name of the resource.</param>
/// <param name="command">Path of the built program.</param>
/// <param name="workingDirectory">Where the program runs.</param>
public sealed class GoAppResource(string name, string command, string workingDirectory)
    : ExecutableResource(name, command, workingDirectory), IResourceWithServiceDiscovery;
