using Hybrid.AppHost.Hosting;

namespace Aspire.Hosting;

/// <summary>A Kafka broker in a container.</summary>
public sealed class KafkaServerResource(string name) : ContainerResource(name), IResourceWithConnectionString
{
    internal const string PrimaryEndpointName = "tcp";

    /// <summary>Where host processes reach the broker.</summary>
    public EndpointReference PrimaryEndpoint => field ??= new(this, PrimaryEndpointName, KnownNetworkIdentifiers.LocalhostNetwork);

    /// <summary>The bootstrap server, <c>host:port</c>.</summary>
    public ReferenceExpression ConnectionStringExpression => ReferenceExpression.Create($"{PrimaryEndpoint.Property(EndpointProperty.HostAndPort)}");
}

/// <summary>A Kafka broker as a process of this machine.</summary>
public sealed class NativeKafkaResource(string name, string workingDirectory)
    : ExecutableResource(name, PreparationExtensions.Launcher, workingDirectory), IResourceWithConnectionString
{
    /// <summary>Where host processes reach the broker.</summary>
    public EndpointReference PrimaryEndpoint => field ??= new(this, KafkaServerResource.PrimaryEndpointName);

    /// <summary>Whether it is librdkafka's in-memory mock cluster, and no Kafka. Known once the resource has been prepared.</summary>
    public bool IsStandIn { get; internal set; }

    /// <inheritdoc cref="KafkaServerResource.ConnectionStringExpression"/>
    public ReferenceExpression ConnectionStringExpression => ReferenceExpression.Create($"{PrimaryEndpoint.Property(EndpointProperty.HostAndPort)}");
}
