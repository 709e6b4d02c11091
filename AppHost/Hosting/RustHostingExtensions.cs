using Hybrid.AppHost.Hosting;
using Hybrid.Toolchain;

namespace Aspire.Hosting;

/// <summary>A Rust program. It is built by cargo before its first start, and runs as the program that came out.</summary>
public sealed class RustAppResource(string name, string command, string workingDirectory)
    : ExecutableResource(name, command, workingDirectory), IResourceWithServiceDiscovery;

/// <summary>Adds Rust programs, with the signature of the package Aspire.Hosting.Rust.</summary>
public static class RustHostingExtensions
{
    /// <summary>Adds the binary <paramref name="name"/> of a cargo workspace; <see cref="WithCargoBinTarget"/> names another.</summary>
    /// <param name="builder">The application.</param>
    /// <param name="name">Name of the resource.</param>
    /// <param name="appDirectory">Folder of <c>Cargo.toml</c>, relative to the AppHost's.</param>
    public static IResourceBuilder<RustAppResource> AddRustApp(this IDistributedApplicationBuilder builder, string name, string appDirectory) =>
        builder.AddResource(new RustAppResource(name, Programs.Rust(name), Path.GetFullPath(appDirectory, builder.AppHostDirectory)))
            .WithBuild(Programs.BuildRustAsync)
            .WithOtlpExporter()
            .WithIconName("CodeBlock");

    /// <summary>Runs another binary of the workspace than the one with the resource's name.</summary>
    public static IResourceBuilder<RustAppResource> WithCargoBinTarget(this IResourceBuilder<RustAppResource> builder, string target) =>
        builder.WithCommand(Programs.Rust(target));
}
