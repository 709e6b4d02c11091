using Hybrid.AppHost.Hosting;
using Hybrid.AppHost.Hosting.Kafka;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;
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
            return builder.AddExternal(name);
        return infrastructure.UsesContainers
            ? builder.AddKafka(name, infrastructure.Ports.Kafka).WithDataVolume(infrastructure.VolumeOf(name))
            : builder.AddNativeKafka(name, infrastructure);
    }

    /// <summary>Adds a broker in a container, with the signature of the package Aspire.Hosting.Kafka.</summary>
    public static IResourceBuilder<KafkaServerResource> AddKafka(this IDistributedApplicationBuilder builder, string name, int? port = null)
    {
        var (image, tag) = ContainerImage.Of(builder.Configuration, "Kafka", Image);
        var kafka = new KafkaServerResource(name);
        builder.Services.AddHealthChecks().AddCheck(name, new KafkaHealthCheck(kafka));
        return builder.AddResource(kafka)
            .WithImage(image, tag)
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
            .AsServer("Mailbox");
    }

    /// <summary>Keeps the broker's log in a named volume.</summary>
    public static IResourceBuilder<KafkaServerResource> WithDataVolume(this IResourceBuilder<KafkaServerResource> kafka, string name) =>
        kafka.WithVolume(name, "/var/lib/kafka/data");

    private static IResourceBuilder<NativeKafkaResource> AddNativeKafka(this IDistributedApplicationBuilder builder, string name, Infrastructure infrastructure)
    {
        var command = new NativeCommand();
        var folder = infrastructure.State.FolderOf(name);
        var kafka = new NativeKafkaResource(name, folder);
        builder.Services.AddHealthChecks().AddCheck(name, new KafkaHealthCheck(kafka));
        return builder.AddResource(kafka)
            .WithEndpoint(infrastructure.Ports.Kafka, name: KafkaServerResource.PrimaryEndpointName, scheme: "tcp", isProxied: false)
            .WithPreparation("Preparing", async (progress, cancellationToken) =>
            {
                var choice = await Setup.KafkaAsync(progress, cancellationToken);
                if (choice.Distribution is { } distribution)
                {
                    kafka.IsStandIn = false;
                    progress.Say($"Kafka: native server, {distribution.Libraries} ({distribution.Origin}), data in {folder}");
                    command.Set(await new NativeKafka(folder).PrepareAsync(distribution, infrastructure.Ports.Kafka, infrastructure.Ports.KafkaController, cancellationToken));
                    return;
                }
                progress.Say($"WARNING: Kafka is replaced by the in-memory stand-in (librdkafka's mock cluster). {choice.WhyNot}");
                progress.Say("WARNING: Its records do not survive a stop or a crash of it, each partition keeps only its newest 5 MB, and it has no transactions: a killed metering may count its last batch twice");
                // Like every program of this clone it is built before its first start, but not when it comes back from a crash.
                if (!kafka.IsStandIn)
                    await Programs.BuildRustAsync(progress, cancellationToken);
                kafka.IsStandIn = true;
                command.Set([Programs.KafkaStandIn, $"{infrastructure.Ports.Kafka}"]);
            })
            .WithArgs(command.AddTo)
            .WithHealthCheck(name)
            .AsServer("Mailbox");
    }

    /// <summary>Whether the broker is the in-memory stand-in, as text for an environment variable. Evaluated when the resource that asks starts.</summary>
    public static string IsStandIn(this IResourceBuilder<IResourceWithConnectionString> kafka) =>
        kafka.Resource is NativeKafkaResource { IsStandIn: true } ? "true" : "false";
}
