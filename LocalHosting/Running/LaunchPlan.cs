using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Processes;

namespace Aspire.Hosting.Running;

/// <summary>Turns what was said about a resource into a process to start.</summary>
internal sealed class LaunchPlan(DistributedApplicationExecutionContext executionContext, OtlpSettings otlp)
{
    /// <summary>Whether the resource is a process at all.</summary>
    public static bool IsProcess(IResource resource) => resource is ExecutableResource or ProjectResource;

    /// <summary>The program and where it runs, before anything is resolved.</summary>
    public static (string Command, string WorkingDirectory) ProgramOf(IResource resource) => resource switch
    {
        ExecutableResource executable => (executable.Command, executable.WorkingDirectory),
        ProjectResource project => (Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", ProjectLaunch.DirectoryOf(project)),
        _ => throw new InvalidOperationException($"'{resource.Name}' is not a process."),
    };

    /// <summary>Says what is missing, where the program or its folder does not exist.</summary>
    public static string? Missing(IResource resource)
    {
        var (command, directory) = ProgramOf(resource);
        if (!Directory.Exists(directory))
            return $"{resource.Name}: its working directory {directory} does not exist.";
        return ExecutablePath.Find(command, directory) is null ? $"{resource.Name}: {ExecutablePath.Advice(command, directory)}" : null;
    }

    /// <exception cref="DistributedApplicationException">Something is missing, or a value cannot be told.</exception>
    public async Task<ProcessSpec> ResolveAsync(ResourceInstance instance, CancellationToken cancellationToken)
    {
        var resource = instance.Resource;
        if (Missing(resource) is { } missing)
            throw new DistributedApplicationException(missing);
        var (command, directory) = ProgramOf(resource);

        var environment = new EnvironmentCallbackContext(executionContext, resource, null, cancellationToken);
        if (resource is ProjectResource project)
            ProjectLaunch.AddEnvironment(project, instance.Replica, environment.EnvironmentVariables);
        if (resource.TryGetLastAnnotation<OtlpExporterAnnotation>(out _))
            otlp.AddEnvironment(resource.Name, environment.EnvironmentVariables);
        foreach (var annotation in resource.Annotations.OfType<EnvironmentCallbackAnnotation>())
            await annotation.Callback(environment).ConfigureAwait(false);

        var arguments = new List<object>(resource is ProjectResource p ? ProjectLaunch.Arguments(p) : []);
        foreach (var annotation in resource.Annotations.OfType<CommandLineArgsCallbackAnnotation>())
            await annotation.Callback(new CommandLineArgsCallbackContext(arguments, cancellationToken)).ConfigureAwait(false);

        var variables = new Dictionary<string, string?>(StringComparer.Ordinal);
        if (resource is ProjectResource)
            foreach (var name in ProjectLaunch.NotInherited)
                variables[name] = null;
        foreach (var (name, value) in environment.EnvironmentVariables)
            variables[name] = await TextOf(value, instance, cancellationToken).ConfigureAwait(false);
        var texts = new List<string>(arguments.Count);
        foreach (var argument in arguments)
            texts.Add(await TextOf(argument, instance, cancellationToken).ConfigureAwait(false) ?? "");
        return new ProcessSpec(ExecutablePath.Find(command, directory)!, texts, directory, variables);
    }

    private static async ValueTask<string?> TextOf(object value, ResourceInstance instance, CancellationToken cancellationToken) => value switch
    {
        string text => text,
        EndpointReferenceExpression { Property: EndpointProperty.TargetPort } own when own.Endpoint.Resource == instance.Resource =>
            own.Endpoint.EndpointAnnotation.ReplicaPorts![instance.Replica].ToString(System.Globalization.CultureInfo.InvariantCulture),
        IValueProvider provider => await provider.GetValueAsync(cancellationToken).ConfigureAwait(false),
        IResourceBuilder<IResource> { Resource: IValueProvider provider } => await provider.GetValueAsync(cancellationToken).ConfigureAwait(false),
        _ => Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture),
    };
}
