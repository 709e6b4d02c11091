using Hybrid.AppHost.Hosting;
using Hybrid.Toolchain;

namespace Aspire.Hosting;

/// <summary>A Go program. It is built by the set-up's Go before its first start, and runs as the program that came out.</summary>
public sealed class GoAppResource(string name, string command, string workingDirectory)
    : ExecutableResource(name, command, workingDirectory), IResourceWithServiceDiscovery;

/// <summary>Adds Go programs, with the signature of the package Aspire.Hosting.Go.</summary>
public static class GoHostingExtensions
{
    /// <summary>Adds a program of a Go module.</summary>
    /// <param name="builder">The application.</param>
    /// <param name="name">Name of the resource.</param>
    /// <param name="appDirectory">Folder of <c>go.mod</c>, relative to the AppHost's.</param>
    /// <param name="packagePath">The package with <c>main</c>, relative to the module.</param>
    public static IResourceBuilder<GoAppResource> AddGoApp(
        this IDistributedApplicationBuilder builder, string name, string appDirectory, string packagePath = ".")
    {
        var module = Path.GetFullPath(appDirectory, builder.AppHostDirectory);
        return builder.AddResource(new GoAppResource(name, Programs.Go(packagePath), module))
            .WithBuild((progress, cancellationToken) => Programs.BuildGoAsync(module, packagePath, progress, cancellationToken))
            .WithOtlpExporter()
            .WithIconName("CodeBlock");
    }
}
