using System.Reflection;

namespace Hybrid.AppHost.Hosting.Kafka;

/// <summary>The program that serves librdkafka's mock cluster where there is no Kafka.</summary>
internal static class KafkaStandIn
{
    /// <summary>Path of its assembly.</summary>
    public static string Program { get; } =
        typeof(KafkaStandIn).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == nameof(KafkaStandIn)).Value
        ?? throw new InvalidOperationException("The build left the path of the stand-in empty.");
}
