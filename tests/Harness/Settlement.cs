using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Npgsql;

namespace Hybrid.Tests.Harness;

/// <summary>
/// Waits until the pipeline from quotes to ledger has nothing left to do. Sums are compared after it, once: a wait for their
/// equality would end before a double booking that comes later.
/// </summary>
internal static class Settlement
{
    private const string Quotes = "hybrid.quotes.v1";
    private const string Usage = "hybrid.usage.v1";
    private const string MeteringGroup = "metering";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Returns when metering has committed every quote event that is in Kafka now, and the ledger has booked every usage record.</summary>
    public static Task WaitAsync(RunningSystem system) => WaitAsync(system.KafkaBootstrap, system.Database);

    /// <inheritdoc cref="WaitAsync(RunningSystem)"/>
    public static async Task WaitAsync(string kafka, NpgsqlDataSource database)
    {
        await Eventually.HoldsAsync(
            "metering to have committed every event", () => MeteringLagAsync(kafka), lag => lag == 0, retryOn: e => e is KafkaException);
        await Eventually.HoldsAsync(
            "the ledger to have booked every usage record", () => LedgerLagAsync(kafka, database), lag => lag == 0, retryOn: e => e is KafkaException or NpgsqlException);
    }

    /// <summary>Events that are not yet committed. The producer of quotes uses no transactions, so every offset is a record.</summary>
    private static async Task<long> MeteringLagAsync(string bootstrap)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = bootstrap }).Build();
        var partitions = admin.GetMetadata(Quotes, Patience).Topics.Single().Partitions.Select(p => new TopicPartition(Quotes, p.PartitionId)).ToList();
        var ends = await admin.ListOffsetsAsync(partitions.Select(p => new TopicPartitionOffsetSpec { TopicPartition = p, OffsetSpec = OffsetSpec.Latest() }));
        var committed = await admin.ListConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitions(MeteringGroup, partitions)]);
        var done = committed.Single().Partitions.ToDictionary(p => p.TopicPartition, p => p.Offset == Offset.Unset ? 0 : p.Offset.Value);
        return ends.ResultInfos.Sum(end => end.TopicPartitionOffsetError.Offset.Value - done.GetValueOrDefault(end.TopicPartitionOffsetError.TopicPartition));
    }

    /// <summary>Usage records beyond the offsets that the ledger keeps. Markers of transactions have offsets too, but are no records.</summary>
    private static async Task<int> LedgerLagAsync(string kafka, NpgsqlDataSource database)
    {
        var records = await Task.Run(() => EventReader.ReadAll(kafka, Usage));
        var next = new Dictionary<int, long>();
        await using var query = database.CreateCommand("SELECT kafka_partition, next_offset FROM consumer_offset WHERE topic = $1");
        query.Parameters.AddWithValue(Usage);
        await using var reader = await query.ExecuteReaderAsync();
        while (await reader.ReadAsync())
            next[reader.GetInt32(0)] = reader.GetInt64(1);
        return records.Count(record => record.Position.Offset.Value >= next.GetValueOrDefault(record.Position.Partition.Value));
    }
}
