using Confluent.Kafka;
using Confluent.Kafka.Admin;

namespace Hybrid.Tests.Harness;

/// <summary>
/// Waits until the pipeline from quotes to ledger has nothing left to do. Sums are compared after it, once: a wait for their
/// equality would end before a double booking that comes later.
/// </summary>
internal static class Settlement
{
    private const string Quotes = "hybrid.quotes.v1";
    private const string Usage = "hybrid.usage.v1";

    /// <summary>Returns when metering has committed every quote event that is in Kafka now, and the ledger has booked every usage record.</summary>
    public static async Task WaitAsync(RunningSystem system)
    {
        await Eventually.HoldsAsync(
            "metering to have committed every event", () => MeteringLagAsync(system.KafkaBootstrap), lag => lag == 0, retryOn: Eventually.IsNotYet);
        await Eventually.HoldsAsync(
            "the ledger to have booked every usage record", () => LedgerLagAsync(system), lag => lag == 0, retryOn: Eventually.IsNotYet);
    }

    /// <summary>Events that are not yet committed. The producer of quotes uses no transactions, so every offset is a record.</summary>
    private static async Task<long> MeteringLagAsync(string bootstrap)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = bootstrap }).Build();
        var partitions = EventReader.PartitionsOf(admin, Quotes);
        var ends = await admin.ListOffsetsAsync(partitions.Select(p => new TopicPartitionOffsetSpec { TopicPartition = p, OffsetSpec = OffsetSpec.Latest() }));
        var committed = await admin.ListConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitions("metering", partitions)]);
        var done = committed.Single().Partitions.ToDictionary(p => p.TopicPartition, p => p.Offset == Offset.Unset ? 0 : p.Offset.Value);
        return ends.ResultInfos.Sum(end => end.TopicPartitionOffsetError.Offset.Value - done.GetValueOrDefault(end.TopicPartitionOffsetError.TopicPartition));
    }

    /// <summary>Usage records beyond the offsets that the ledger keeps. Markers of transactions have offsets too, but are no records.</summary>
    private static async Task<int> LedgerLagAsync(RunningSystem system)
    {
        var records = EventReader.ReadAll(system.KafkaBootstrap, Usage);
        var next = new Dictionary<int, long>();
        await using var query = system.Database.CreateCommand($"SELECT kafka_partition, next_offset FROM consumer_offset WHERE topic = '{Usage}'");
        await using var reader = await query.ExecuteReaderAsync();
        while (await reader.ReadAsync())
            next[reader.GetInt32(0)] = reader.GetInt64(1);
        return records.Count(record => record.Position.Offset.Value >= next.GetValueOrDefault(record.Position.Partition.Value));
    }
}
