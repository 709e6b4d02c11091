using Confluent.Kafka;

namespace Hybrid.Tests.Harness;

/// <summary>Puts records into topics from outside the system.</summary>
internal static class EventWriter
{
    public static async Task ProduceAsync(string bootstrap, string topic, int partition, byte[] value)
    {
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = bootstrap }).Build();
        await producer.ProduceAsync(new TopicPartition(topic, partition), new Message<Null, byte[]> { Value = value }, TestContext.Current.CancellationToken);
    }
}
