using System.Text;
using Confluent.Kafka;

namespace Hybrid.Tests.Harness;

/// <summary>Puts records into topics from outside the system.</summary>
internal static class EventWriter
{
    public static async Task ProduceAsync(
        string bootstrap, string topic, int partition, byte[] value, IReadOnlyDictionary<string, string>? headers = null)
    {
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = bootstrap }).Build();
        var message = new Message<Null, byte[]> { Value = value, Headers = [] };
        foreach (var (name, text) in headers ?? new Dictionary<string, string>())
            message.Headers.Add(name, Encoding.UTF8.GetBytes(text));
        await producer.ProduceAsync(new TopicPartition(topic, partition), message, TestContext.Current.CancellationToken);
    }
}
