using Confluent.Kafka;

namespace Hybrid.Tests.Harness;

/// <summary>
/// Waits until the pipeline from quotes to ledger has nothing left to do. Sums are compared after it, once: a wait for their
/// equality would end before a double booking that comes later.
/// </summary>
internal static class Settlement
{
    private const string Quotes = "hybrid.quotes.v1";
    private const string Usage = "hybrid.usage.v1";
    private static readonly TimeSpan Asking = TimeSpan.FromSeconds(5);

    /// <summary>Returns when metering has committed every quote event that is in Kafka now, and the ledger has booked every usage record.</summary>
    public static async Task WaitAsync(RunningSystem system)
    {
        await Eventually.HoldsAsync(
            "metering to have committed every event", () => Task.Run(() => MeteringLag(system.KafkaBootstrap)), lag => lag == 0, retryOn: Eventually.IsNotYet);
        await Eventually.HoldsAsync(
            "the ledger to have booked every usage record", () => LedgerLagAsync(system), lag => lag == 0, retryOn: Eventually.IsNotYet);
    }

    /// <summary>Events that are not yet committed. The producer of quotes uses no transactions, so every offset is a record.</summary>
    private static long MeteringLag(string bootstrap)
    {
        // It never joins the group. An admin client asks the same, but ends its process when the group has no coordinator yet.
        using var member = new ConsumerBuilder<Ignore, Ignore>(new ConsumerConfig { BootstrapServers = bootstrap, GroupId = "metering" }).Build();
        using var admin = new DependentAdminClientBuilder(member.Handle).Build();
        return member.Committed(EventReader.PartitionsOf(admin, Quotes), Asking).Sum(committed =>
            member.QueryWatermarkOffsets(committed.TopicPartition, Asking).High.Value - (committed.Offset == Offset.Unset ? 0 : committed.Offset.Value));
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
