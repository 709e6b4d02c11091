using System.Text;
using Confluent.Kafka;
using Google.Protobuf;

namespace Hybrid.Tests.Harness;

/// <summary>A record as a consumer outside the system sees it.</summary>
internal sealed record SeenRecord(TopicPartitionOffset Position, byte[]? Key, byte[]? Value, IReadOnlyDictionary<string, string> Headers);

/// <summary>Reads whole topics with a stock client.</summary>
internal static class EventReader
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Everything committed that the topic holds now, from its beginning.</summary>
    public static List<SeenRecord> ReadAll(string bootstrap, string topic)
    {
        using var consumer = new ConsumerBuilder<byte[], byte[]>(new ConsumerConfig
        {
            BootstrapServers = bootstrap,
            GroupId = "tests-" + Guid.NewGuid(),
            IsolationLevel = IsolationLevel.ReadCommitted,
            EnableAutoCommit = false,
            EnablePartitionEof = true,
        }).Build();
        using var admin = new DependentAdminClientBuilder(consumer.Handle).Build();
        var partitions = admin.GetMetadata(topic, Patience).Topics.Single(t => t.Topic == topic).Partitions;
        consumer.Assign(partitions.Select(p => new TopicPartitionOffset(topic, p.PartitionId, Offset.Beginning)));

        var seen = new List<SeenRecord>();
        for (var open = partitions.Count; open > 0;)
        {
            var result = consumer.Consume(Patience) ?? throw new TimeoutException($"{topic} gave no record and no end for {Patience.TotalSeconds:0} s.");
            if (result.IsPartitionEOF)
                open--;
            else
                seen.Add(new SeenRecord(result.TopicPartitionOffset, result.Message.Key, result.Message.Value, Headers(result.Message.Headers)));
        }
        return seen;
    }

    /// <summary>The messages of a topic that can be read as such.</summary>
    public static IEnumerable<(SeenRecord Record, T Message)> Messages<T>(this IEnumerable<SeenRecord> records, MessageParser<T> parser) where T : IMessage<T>
    {
        foreach (var record in records)
        {
            T message;
            try
            {
                message = parser.ParseFrom(record.Value);
            }
            catch (InvalidProtocolBufferException)
            {
                // A poison record that another test has put there.
                continue;
            }
            yield return (record, message);
        }
    }

    private static Dictionary<string, string> Headers(Headers headers) =>
        headers.GroupBy(h => h.Key).ToDictionary(g => g.Key, g => Encoding.UTF8.GetString(g.Last().GetValueBytes() ?? []));
}
