using Hybrid.AppHost.Hosting;
using Hybrid.AppHost.Hosting.Kafka;
using Hybrid.AppHost.Start;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Aspire.Hosting;

/// <summary>Adds Kafka: an external cluster, a container, the jars on this machine, or, last, the in-memory stand-in.</summary>
internal static class KafkaHostingExtensions
{
    private const string Image = "apache/kafka:4.1.1";

    /// <summary>Adds the broker in the way that the start options and this machine allow; whoever refers to it need not know which.</summary>
    public static IResourceBuilder<IResourceWithConnectionString> AddEventBroker(
        this IDistributedApplicationBuilder builder, string name, Infrastructure infrastructure)
    {
        if (builder.Configuration.GetConnectionString(name) is { Length: > 0 })
            return builder.AddConnectionString(name);
        return infrastructure.UsesContainers
            ? builder.AddKafka(name, infrastructure.Ports.Kafka).WithVolume(infrastructure.VolumeOf(name), "/var/lib/kafka/data")
            : builder.AddNativeKafka(name, infrastructure);
    }

    /// <summary>Adds a broker in a container, with the signature of the package Aspire.Hosting.Kafka.</summary>
    public static IResourceBuilder<KafkaServerResource> AddKafka(this IDistributedApplicationBuilder builder, string name, int? port = null)
    {
        var kafka = new KafkaServerResource(name);
        builder.Services.AddHealthChecks().AddCheck(name, new KafkaHealthCheck(kafka));
        return builder.AddResource(kafka)
            .WithImage(builder.Configuration["Hybrid:Images:Kafka"] is { Length: > 0 } image ? image : Image)
            .WithEndpoint(port, targetPort: 9092, name: KafkaServerResource.PrimaryEndpointName, scheme: "tcp", isProxied: false)
            .WithEnvironment("KAFKA_NODE_ID", "1")
            .WithEnvironment("KAFKA_PROCESS_ROLES", "broker,controller")
            .WithEnvironment("KAFKA_LISTENERS", "PLAINTEXT://:9092,BROKER://:29092,CONTROLLER://:9093")
            // The broker connects to itself too, and the host's port does not exist inside the container.
            .WithEnvironment(
                "KAFKA_ADVERTISED_LISTENERS", ReferenceExpression.Create($"PLAINTEXT://{kafka.PrimaryEndpoint.Property(EndpointProperty.HostAndPort)},BROKER://localhost:29092"))
            .WithEnvironment("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER")
            .WithEnvironment("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT")
            .WithEnvironment("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
            .WithEnvironment("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
            .WithEnvironment("KAFKA_LOG_DIRS", "/var/lib/kafka/data")
            .WithEnvironment("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
            .WithEnvironment("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "4")
            .WithEnvironment("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
            .WithEnvironment("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
            .WithEnvironment("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4")
            .WithEnvironment("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
            .WithEnvironment("KAFKA_BROKER_SESSION_TIMEOUT_MS", "2000")
            .WithEnvironment("KAFKA_BROKER_HEARTBEAT_INTERVAL_MS", "500")
            .WithEnvironment("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
            .WithHealthCheck(name)
            .WithConnectionParts(kafka.PrimaryEndpoint)
            .AsServer("Mailbox");
    }

    private static IResourceBuilder<NativeKafkaResource> AddNativeKafka(this IDistributedApplicationBuilder builder, string name, Infrastructure infrastructure)
    {
        var server = new NativeKafka(infrastructure.State.FolderOf(name));
        var kafka = new NativeKafkaResource(name, infrastructure.State.FolderOf(name));
        builder.Services.AddHealthChecks().AddCheck(name, new KafkaHealthCheck(kafka));
        return builder.AddResource(kafka)
            .WithEndpoint(infrastructure.Ports.Kafka, name: KafkaServerResource.PrimaryEndpointName, scheme: "tcp", isProxied: false)
            .RunsAsPrepared(async (progress, cancellationToken) =>
            {
                var command = await server.PrepareAsync(infrastructure.Ports.Kafka, infrastructure.Ports.KafkaController, progress, cancellationToken);
                kafka.IsStandIn = server.IsStandIn;
                return command;
            })
            .WithHealthCheck(name)
            .WithConnectionParts(kafka.PrimaryEndpoint)
            .AsServer("Mailbox");
    }

    private static IResourceBuilder<T> WithConnectionParts<T>(this IResourceBuilder<T> kafka, EndpointReference endpoint)
        where T : IResourceWithConnectionString =>
        kafka.WithConnectionProperty("Host", ReferenceExpression.Create($"{endpoint.Property(EndpointProperty.Host)}"))
            .WithConnectionProperty("Port", ReferenceExpression.Create($"{endpoint.Property(EndpointProperty.Port)}"));

    /// <summary>Whether the broker is the in-memory stand-in, as text for an environment variable. Evaluated when the resource that asks starts.</summary>
    public static string IsStandIn(this IResourceBuilder<IResourceWithConnectionString> kafka) =>
        kafka.Resource is NativeKafkaResource { IsStandIn: true } ? "true" : "false";
}
