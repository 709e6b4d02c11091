namespace Aspire.Hosting;

/// <summary>A Kafka broker in a container.</summary>
/// <param name="name">Name of the resource.</param>
public sealed class KafkaServerResource(string name) : ContainerResource(name), IResourceWithConnectionString
{
    internal const string PrimaryEndpointName = "tcp";

    /// <summary>Where host processes reach the broker.</summary>
    public EndpointReference PrimaryEndpoint => field ??= new(this, PrimaryEndpointName, KnownNetworkIdentifiers.LocalhostNetwork);

    /// <summary>The bootstrap server, <c>host:port</c>.</summary>
    public ReferenceExpression ConnectionStringExpression => KafkaConnection.Expression(PrimaryEndpoint);

    IEnumerable<KeyValuePair<string, ReferenceExpression>> IResourceWithConnectionString.GetConnectionProperties() => KafkaConnection.Properties(PrimaryEndpoint);
}

/// <summary>A Kafka broker as a process of this machine.</summary>
/// <param name="name">Name of the resource.</param>
/// <param name="workingDirectory">Where the process runs.</param>
public sealed class NativeKafkaResource(string name, string workingDirectory)
    : ExecutableResource(name, NativeCommand.Launcher, workingDirectory), IResourceWithConnectionString
{
    /// <summary>Where host processes reach the broker.</summary>
    public EndpointReference PrimaryEndpoint => field ??= new(this, KafkaServerResource.PrimaryEndpointName);

    /// <summary>Whether it is librdkafka's in-memory mock cluster, and no Kafka. Known once the resource has been prepared.</summary>
    public bool IsStandIn { get; internal set; }

    /// <inheritdoc cref="KafkaServerResource.ConnectionStringExpression"/>
    public ReferenceExpression ConnectionStringExpression => KafkaConnection.Expression(PrimaryEndpoint);

    IEnumerable<KeyValuePair<string, ReferenceExpression>> IResourceWithConnectionString.GetConnectionProperties() => KafkaConnection.Properties(PrimaryEndpoint);
}

internal static class KafkaConnection
{
    public static ReferenceExpression Expression(EndpointReference endpoint) =>
        ReferenceExpression.Create($"{endpoint.Property(EndpointProperty.HostAndPort)}");

    public static IEnumerable<KeyValuePair<string, ReferenceExpression>> Properties(EndpointReference endpoint) =>
    [
        new("Host", ReferenceExpression.Create($"{endpoint.Property(EndpointProperty.Host)}")),
        new("Port", ReferenceExpression.Create($"{endpoint.Property(EndpointProperty.Port)}")),
    ];
}
