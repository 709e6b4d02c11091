using System.Globalization;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Running;

namespace Aspire.Hosting;

/// <summary>What can be said about resources of several kinds.</summary>
public static partial class ResourceBuilderExtensions
{
    /// <summary>Sets an environment variable of the process.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, string? value)
        where T : IResourceWithEnvironment => builder.WithEnvironment(c => c.EnvironmentVariables[name] = value ?? "");

    /// <inheritdoc cref="WithEnvironment{T}(IResourceBuilder{T}, string, string)"/>
    public static IResourceBuilder<T> WithEnvironment<T>(
        this IResourceBuilder<T> builder, string name, in ReferenceExpression.ExpressionInterpolatedStringHandler value)
        where T : IResourceWithEnvironment => builder.WithEnvironment(name, value.GetExpression());

    /// <inheritdoc cref="WithEnvironment{T}(IResourceBuilder{T}, string, string)"/>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, ReferenceExpression value)
        where T : IResourceWithEnvironment => builder.WithEnvironment(c => c.EnvironmentVariables[name] = value);

    /// <inheritdoc cref="WithEnvironment{T}(IResourceBuilder{T}, string, string)"/>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, Func<string> callback)
        where T : IResourceWithEnvironment => builder.WithEnvironment(c => c.EnvironmentVariables[name] = callback());

    /// <summary>Sets environment variables of the process each time it starts.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, Action<EnvironmentCallbackContext> callback)
        where T : IResourceWithEnvironment => builder.WithEnvironment(c =>
        {
            callback(c);
            return Task.CompletedTask;
        });

    /// <inheritdoc cref="WithEnvironment{T}(IResourceBuilder{T}, Action{EnvironmentCallbackContext})"/>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, Func<EnvironmentCallbackContext, Task> callback)
        where T : IResourceWithEnvironment => builder.WithAnnotation(new EnvironmentCallbackAnnotation(callback));

    /// <summary>Sets an environment variable to the URL of an endpoint.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, EndpointReference endpointReference)
        where T : IResourceWithEnvironment => builder.WithEnvironment(c => c.EnvironmentVariables[name] = endpointReference);

    /// <summary>Sets an environment variable to the value of a parameter.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(this IResourceBuilder<T> builder, string name, IResourceBuilder<ParameterResource> parameter)
        where T : IResourceWithEnvironment => builder.WithEnvironment(c => c.EnvironmentVariables[name] = parameter.Resource);

    /// <summary>Sets an environment variable to a connection string.</summary>
    public static IResourceBuilder<T> WithEnvironment<T>(
        this IResourceBuilder<T> builder, string envVarName, IResourceBuilder<IResourceWithConnectionString> resource)
        where T : IResourceWithEnvironment => builder.WithEnvironment(c => c.EnvironmentVariables[envVarName] = resource.Resource);

    /// <summary>Sets an environment variable to a value that is known when the process starts.</summary>
    public static IResourceBuilder<T> WithEnvironment<T, TValue>(this IResourceBuilder<T> builder, string name, TValue value)
        where T : IResourceWithEnvironment
        where TValue : IValueProvider, IManifestExpressionProvider => builder.WithEnvironment(c => c.EnvironmentVariables[name] = value);

    /// <summary>Adds arguments of the process.</summary>
    public static IResourceBuilder<T> WithArgs<T>(this IResourceBuilder<T> builder, params string[] args)
        where T : IResourceWithArgs => builder.WithArgs((object[])args);

    /// <inheritdoc cref="WithArgs{T}(IResourceBuilder{T}, string[])"/>
    public static IResourceBuilder<T> WithArgs<T>(this IResourceBuilder<T> builder, params object[] args)
        where T : IResourceWithArgs => builder.WithArgs(c =>
        {
            foreach (var arg in args)
                c.Args.Add(arg);
        });

    /// <summary>Adds arguments of the process each time it starts.</summary>
    public static IResourceBuilder<T> WithArgs<T>(this IResourceBuilder<T> builder, Action<CommandLineArgsCallbackContext> callback)
        where T : IResourceWithArgs => builder.WithArgs(c =>
        {
            callback(c);
            return Task.CompletedTask;
        });

    /// <inheritdoc cref="WithArgs{T}(IResourceBuilder{T}, Action{CommandLineArgsCallbackContext})"/>
    public static IResourceBuilder<T> WithArgs<T>(this IResourceBuilder<T> builder, Func<CommandLineArgsCallbackContext, Task> callback)
        where T : IResourceWithArgs => builder.WithAnnotation(new CommandLineArgsCallbackAnnotation(callback));

    /// <summary>Gives the process the connection string of another resource, as <c>ConnectionStrings__{name}</c>, and its parts.</summary>
    /// <param name="builder">The resource that gets it.</param>
    /// <param name="source">The resource that it leads to.</param>
    /// <param name="connectionName">The name to use instead of the source's.</param>
    /// <param name="optional">Whether it may have no value.</param>
    public static IResourceBuilder<TDestination> WithReference<TDestination>(
        this IResourceBuilder<TDestination> builder,
        IResourceBuilder<IResourceWithConnectionString> source,
        string? connectionName = null,
        bool optional = false)
        where TDestination : IResourceWithEnvironment
    {
        var resource = source.Resource;
        var name = connectionName ?? resource.Name;
        return builder.WithRelationship(resource, "Reference").WithEnvironment(async c =>
        {
            var value = await resource.GetConnectionStringAsync(c.CancellationToken).ConfigureAwait(false);
            if (string.IsNullOrEmpty(value))
            {
                if (optional)
                    return;
                throw new DistributedApplicationException($"The connection string of '{resource.Name}' is empty.");
            }

            c.EnvironmentVariables[resource.ConnectionStringEnvironmentVariable ?? $"ConnectionStrings__{name}"] = value;
            foreach (var (part, text) in ConnectionStringParts.Of(value))
                c.EnvironmentVariables[$"{ResourceName.ToVariablePrefix(name)}_{part}"] = text;
        });
    }

    /// <summary>Lets the process find another resource by its name.</summary>
    public static IResourceBuilder<TDestination> WithReference<TDestination>(
        this IResourceBuilder<TDestination> builder, IResourceBuilder<IResourceWithServiceDiscovery> source)
        where TDestination : IResourceWithEnvironment => builder.WithReference(source, source.Resource.Name);

    /// <summary>Lets the process find another resource by the name given.</summary>
    public static IResourceBuilder<TDestination> WithReference<TDestination>(
        this IResourceBuilder<TDestination> builder, IResourceBuilder<IResourceWithServiceDiscovery> source, string name)
        where TDestination : IResourceWithEnvironment => builder.WithRelationship(source.Resource, "Reference").WithEnvironment(c =>
        {
            foreach (var endpoint in source.Resource.GetEndpoints())
                AddServiceDiscovery(c, name, endpoint);
        });

    /// <summary>Lets the process find an endpoint by the name of its resource.</summary>
    public static IResourceBuilder<TDestination> WithReference<TDestination>(
        this IResourceBuilder<TDestination> builder, EndpointReference endpointReference)
        where TDestination : IResourceWithEnvironment => builder.WithRelationship(endpointReference.Resource, "Reference")
            .WithEnvironment(c => AddServiceDiscovery(c, endpointReference.Resource.Name, endpointReference));

    /// <summary>Lets the process find a service outside the application by name.</summary>
    public static IResourceBuilder<TDestination> WithReference<TDestination>(this IResourceBuilder<TDestination> builder, string name, Uri uri)
        where TDestination : IResourceWithEnvironment
    {
        if (!uri.IsAbsoluteUri || uri.AbsolutePath != "/")
            throw new ArgumentException("A service's address is absolute, and has no path.", nameof(uri));
        return builder.WithEnvironment($"services__{name}__default__0", uri.ToString());
    }

    private static void AddServiceDiscovery(EnvironmentCallbackContext context, string name, EndpointReference endpoint)
    {
        var variables = context.EnvironmentVariables;
        variables[$"{ResourceName.ToVariablePrefix(name)}_{ResourceName.ToVariablePrefix(endpoint.EndpointName)}"] = endpoint;
        var key = endpoint.EndpointName is "http" or "https" ? endpoint.Scheme : endpoint.EndpointName;
        foreach (var url in EndpointAllocator.UrlsOf(endpoint.EndpointAnnotation))
        {
            var n = 0;
            while (variables.ContainsKey(Variable(n)))
                n++;
            variables[Variable(n)] = url;
        }

        string Variable(int n) => string.Create(CultureInfo.InvariantCulture, $"services__{name}__{key}__{n}");
    }
}
