using System.Globalization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.AppHost.Infrastructure;

/// <summary>Chooses Kafka: an external cluster, a container, Kafka's jars on this machine, or, last, the in-memory stand-in.</summary>
internal static class EventBroker
{
    private const string ServerName = "kafka-server";

    public static InfrastructureServer AddEventBroker(this IDistributedApplicationBuilder builder, string name, Preparation prepared)
    {
        if (builder.Configuration.GetConnectionString(name) is { Length: > 0 })
        {
            InfrastructureServer.Announce("Kafka", $"external, by ConnectionStrings:{name}");
            var external = builder.AddConnectionString(name);
            return new InfrastructureServer(external, external);
        }
        if (ContainerEngine.InUse)
        {
            InfrastructureServer.Announce("Kafka", "container");
            var container = builder.AddKafka(name, prepared.Ports.Kafka).WithDataVolume().WithKafkaUI();
            return new InfrastructureServer(container, container);
        }

        var isStandIn = prepared.Tools.Kafka.Distribution is null;
        var server = isStandIn ? builder.AddStandIn(prepared) : builder.AddNative(prepared);
        builder.Services.AddHealthChecks().AddCheck("kafka", new KafkaHealthCheck(prepared.Ports.Kafka));
        server.WithEndpoint(prepared.Ports.Kafka, name: "tcp", scheme: "tcp", isProxied: false).WithHealthCheck("kafka");
        var address = $"127.0.0.1:{prepared.Ports.Kafka.ToString(CultureInfo.InvariantCulture)}";
        return new InfrastructureServer(builder.AddConnectionString(name, ReferenceExpression.Create($"{address}")), server, isStandIn);
    }

    private static IResourceBuilder<ExecutableResource> AddNative(this IDistributedApplicationBuilder builder, Preparation prepared)
    {
        var native = NativeKafka.Prepare(prepared);
        InfrastructureServer.Announce("Kafka", $"native server, {prepared.Tools.Kafka.Distribution!.Libraries} (by {prepared.Tools.Kafka.Distribution.Origin}), data in {native.DataFolder}");
        return builder.AddExecutable(ServerName, native.Command, native.DataFolder, native.Arguments);
    }

    private static IResourceBuilder<ExecutableResource> AddStandIn(this IDistributedApplicationBuilder builder, Preparation prepared)
    {
        InfrastructureServer.Announce("Kafka", $"WARNING: in-memory stand-in (librdkafka's mock cluster), because: {prepared.Tools.Kafka.WhyNot}.");
        InfrastructureServer.Announce("Kafka", "WARNING: events do not survive a stop or a crash of it, each partition keeps only its newest 5 MB, and it has no transactions: a killed metering may count its last batch twice.");
        return builder.AddExecutable(
            ServerName, "dotnet", prepared.State.FolderOf("kafka"), HostChoice.Metadata("KafkaStandIn"), prepared.Ports.Kafka.ToString(CultureInfo.InvariantCulture));
    }
}
