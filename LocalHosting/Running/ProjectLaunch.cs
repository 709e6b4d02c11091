using System.Text.Json;
using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Running;

/// <summary>How a .NET project is run, and what its launch profile says.</summary>
internal static class ProjectLaunch
{
    /// <summary>Variables that speak of the host and not of the project.</summary>
    public static readonly string[] NotInherited = ["ASPNETCORE_URLS", "ASPNETCORE_HTTP_PORTS", "ASPNETCORE_HTTPS_PORTS", "DOTNET_LAUNCH_PROFILE"];

    public static string PathOf(ProjectResource project) => project.TryGetLastAnnotation<IProjectMetadata>(out var metadata)
        ? metadata.ProjectPath
        : throw new DistributedApplicationException($"Resource '{project.Name}' does not say where its project is.");

    public static string DirectoryOf(ProjectResource project) => Path.GetDirectoryName(PathOf(project))!;

    public static IEnumerable<string> Arguments(ProjectResource project)
    {
        var configuration = project.TryGetLastAnnotation<ProjectConfigurationAnnotation>(out var c) ? c.Configuration : null;
        IEnumerable<string> arguments = ["run", "--project", PathOf(project), "--no-build", "--no-launch-profile"];
        if (configuration is not null)
            arguments = arguments.Concat(["--configuration", configuration]);
        var hasOwn = project.TryGetLastAnnotation<CommandLineArgsCallbackAnnotation>(out _);
        return hasOwn ? arguments.Append("--") : arguments;
    }

    public static void AddEnvironment(ProjectResource project, int replica, Dictionary<string, object> variables)
    {
        if (project.TryGetLastAnnotation<LaunchProfile>(out var profile))
            foreach (var (name, value) in profile.EnvironmentVariables)
                variables[name] = value;
        var urls = project.Annotations.OfType<EndpointAnnotation>()
            .Where(e => e.UriScheme is "http" or "https")
            .Select(e => new AllocatedEndpoint(e, e.AllocatedEndpoint!.Address, e.ReplicaPorts![replica]).UriString)
            .ToArray();
        if (urls.Length > 0)
            variables["ASPNETCORE_URLS"] = string.Join(';', urls);
    }
}

/// <summary>The build configuration that the project was built in along with AppHost.</summary>
internal sealed record ProjectConfigurationAnnotation(string Configuration) : IResourceAnnotation;

/// <summary>A profile of <c>launchSettings.json</c>.</summary>
internal sealed record LaunchProfile(IReadOnlyList<Uri> Urls, IReadOnlyDictionary<string, string> EnvironmentVariables) : IResourceAnnotation
{
    /// <summary>Reads the profile of the name, or the first that runs the project.</summary>
    public static LaunchProfile? Read(string projectPath, string? name)
    {
        var file = Path.Combine(Path.GetDirectoryName(projectPath)!, "Properties", "launchSettings.json");
        if (!File.Exists(file))
            return null;
        using var settings = JsonDocument.Parse(
            File.ReadAllText(file), new JsonDocumentOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
        if (!settings.RootElement.TryGetProperty("profiles", out var profiles))
            return null;
        foreach (var profile in profiles.EnumerateObject())
        {
            var isProject = profile.Value.TryGetProperty("commandName", out var command) && command.GetString() == "Project";
            if (name is null ? isProject : profile.Name == name)
                return Parse(profile.Value);
        }

        return name is null ? null : throw new DistributedApplicationException($"{file} has no profile '{name}'.");
    }

    private static LaunchProfile Parse(JsonElement profile)
    {
        var urls = profile.TryGetProperty("applicationUrl", out var url) ? url.GetString()! : "";
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        if (profile.TryGetProperty("environmentVariables", out var environment))
            foreach (var variable in environment.EnumerateObject())
                variables[variable.Name] = variable.Value.GetString() ?? "";
        return new([.. urls.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(u => new Uri(u))], variables);
    }
}
