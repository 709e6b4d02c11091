using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting
{
    /// <summary>Says where a .NET project is. The build generates one class for each project that AppHost refers to.</summary>
    public interface IProjectMetadata : IResourceAnnotation
    {
        string ProjectPath { get; }
    }

    internal sealed class ProjectMetadata(string projectPath) : IProjectMetadata
    {
        public string ProjectPath { get; } = projectPath;
    }
}

namespace Aspire.Hosting.ApplicationModel
{
    /// <summary>A .NET project, run with <c>dotnet run</c>.</summary>
    public class ProjectResource(string name)
        : Resource(name), IResourceWithEnvironment, IResourceWithArgs, IResourceWithServiceDiscovery, IResourceWithWaitSupport;
}
