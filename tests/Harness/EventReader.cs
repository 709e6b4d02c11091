using System.Text;
using Confluent.Kafka;
using Google.Protobuf;
using Hybrid.Pricing.V1;
using Hybrid.Usage.V1;

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
        var partitions = PartitionsOf(admin, topic);
        consumer.Assign(partitions.Select(partition => new TopicPartitionOffset(partition, Offset.Beginning)));

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

    /// <exception cref="KafkaException">The broker does not know the topic, or has no leader for it yet.</exception>
    public static List<TopicPartition> PartitionsOf(IAdminClient admin, string topic)
    {
        var metadata = admin.GetMetadata(topic, Patience).Topics.Single();
        return metadata.Error.IsError ? throw new KafkaException(metadata.Error) : metadata.Partitions.ConvertAll(p => new TopicPartition(topic, p.PartitionId));
    }

    /// <summary>The quotes of one jurisdiction that have an event.</summary>
    public static List<QuoteResponse> ReadQuotes(RunningSystem system, string jurisdiction) =>
        [.. Quotes(ReadAll(system.KafkaBootstrap, "hybrid.quotes.v1")).Where(quote => quote.Jurisdiction == jurisdiction)];

    /// <summary>The quotes in records of either type, in their order; records that cannot be read are poison that a test has put there.</summary>
    public static IEnumerable<QuoteResponse> Quotes(IEnumerable<SeenRecord> records)
    {
        foreach (var record in records)
        {
            SeenRecord[] one = [record];
            var quotes = record.Headers.GetValueOrDefault("ce_type") switch
            {
                "hybrid.pricing.quotes.priced.v1" => one.Messages(QuotesPriced.Parser).SelectMany(e => e.Message.Quotes, (_, priced) => priced.Quote),
                "hybrid.pricing.quote.priced.v1" => one.Messages(QuotePriced.Parser).Select(e => e.Message.Quote),
                _ => [],
            };
            foreach (var quote in quotes)
            {
                if (quote is not null)
                    yield return quote;
            }
        }
    }

    /// <summary>The messages of a topic that can be read as such; the others are poison that a test has put there.</summary>
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
                continue;
            }
            yield return (record, message);
        }
    }

    private static Dictionary<string, string> Headers(Headers headers) =>
        headers.GroupBy(h => h.Key).ToDictionary(g => g.Key, g => Encoding.UTF8.GetString(g.Last().GetValueBytes() ?? []));
}

/// <summary>Puts records into topics from outside the system.</summary>
internal static class EventWriter
{
    public static async Task ProduceAsync(string bootstrap, string topic, int partition, byte[] value, IReadOnlyDictionary<string, string> headers)
    {
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = bootstrap }).Build();
        var message = new Message<Null, byte[]> { Value = value, Headers = [.. headers.Select(h => new Header(h.Key, Encoding.UTF8.GetBytes(h.Value)))] };
        await producer.ProduceAsync(new TopicPartition(topic, partition), message, TestContext.Current.CancellationToken);
    }
}
