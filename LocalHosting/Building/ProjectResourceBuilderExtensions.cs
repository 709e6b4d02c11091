using System.Reflection;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Running;

namespace Aspire.Hosting;

public static class ProjectResourceBuilderExtensions
{
    /// <summary>Adds a .NET project that AppHost refers to. Its endpoints and variables are those of its launch profile.</summary>
    public static IResourceBuilder<ProjectResource> AddProject<TProject>(this IDistributedApplicationBuilder builder, string name)
        where TProject : IProjectMetadata, new() => Add(builder, name, new TProject().ProjectPath, launchProfileName: null);

    /// <inheritdoc cref="AddProject{TProject}(IDistributedApplicationBuilder, string)"/>
    public static IResourceBuilder<ProjectResource> AddProject<TProject>(
        this IDistributedApplicationBuilder builder, string name, string? launchProfileName)
        where TProject : IProjectMetadata, new() => Add(builder, name, new TProject().ProjectPath, launchProfileName);

    /// <summary>Adds a .NET project by its path, from AppHost's folder where relative.</summary>
    public static IResourceBuilder<ProjectResource> AddProject(this IDistributedApplicationBuilder builder, string name, string projectPath) =>
        builder.AddProject(name, projectPath, launchProfileName: null);

    /// <inheritdoc cref="AddProject(IDistributedApplicationBuilder, string, string)"/>
    public static IResourceBuilder<ProjectResource> AddProject(
        this IDistributedApplicationBuilder builder, string name, string projectPath, string? launchProfileName) =>
        Add(builder, name, Path.GetFullPath(projectPath, builder.AppHostDirectory), launchProfileName);

    /// <summary>Runs the project several times. The first has the ports of the endpoints, the others free ones.</summary>
    public static IResourceBuilder<ProjectResource> WithReplicas(this IResourceBuilder<ProjectResource> builder, int replicas)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(replicas, 1);
        return builder.WithAnnotation(new ReplicaAnnotation(replicas), ResourceAnnotationMutationBehavior.Replace);
    }

    private static IResourceBuilder<ProjectResource> Add(
        IDistributedApplicationBuilder builder, string name, string projectPath, string? launchProfileName)
    {
        if (!File.Exists(projectPath))
            throw new DistributedApplicationException($"{name}: the project {projectPath} does not exist.");
        var project = builder.AddResource(new ProjectResource(name)).WithAnnotation<IProjectMetadata>(new ProjectMetadata(projectPath)).WithOtlpExporter();
        if (builder.AppHostAssembly?.GetCustomAttribute<AssemblyConfigurationAttribute>() is { Configuration.Length: > 0 } configuration)
            project.WithAnnotation(new ProjectConfigurationAnnotation(configuration.Configuration));
        if (LaunchProfile.Read(projectPath, launchProfileName) is not { } profile)
            return project;
        project.WithAnnotation(profile);
        foreach (var url in profile.Urls)
            project.WithEndpoint(port: url.Port, scheme: url.Scheme);
        return project;
    }
}
