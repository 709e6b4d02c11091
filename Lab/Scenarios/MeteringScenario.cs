using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Scenarios;

/// <summary>The data pipeline in both languages: each reads the same events, and is measured until it has committed the last of them.</summary>
internal sealed class MeteringScenario : IScenario
{
    private const string Events = "hybrid.quotes.v1";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan Asking = TimeSpan.FromSeconds(5);
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(1) };

    public string Name => "metering";
    public string Question => "What does the stream processor cost, from events to usage windows, exactly once?";
    public LabPrograms Needs => LabPrograms.Metering;

    // About 15 µs an event over both twins and the making of the events, and two starts of a consumer group.
    public TimeSpan Estimate(Effort effort) => effort.Rounds * TimeSpan.FromSeconds(14 + (effort.Events * 30e-6));

    public async Task<IReadOnlyList<Measurement>> RunAsync(Bench bench)
    {
        await bench.Stores.StartAsync(bench.CancellationToken);
        if (bench.Stores.KafkaIsStandIn)
            throw new LabException("metering needs a real Kafka: set HYBRID_KAFKA_HOME, or leave this scenario out by --filter.");
        using (var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = bench.Stores.Kafka }).Build())
            await admin.CreateTopicsAsync([new TopicSpecification { Name = LabTwins.GoUsageTopic, NumPartitions = 4, ReplicationFactor = 1 }]);
        var measurements = new List<Measurement>();
        (Twin Twin, string Group)[] twins =
            [(LabTwins.RustMetering(bench.Stores, "lab"), LabTwins.RustMeteringGroup), (LabTwins.GoMetering(bench.Stores, "lab"), LabTwins.GoMeteringGroup)];
        // What earlier scenarios have left is not part of any round.
        bench.Say("reading what is there already");
        foreach (var (twin, group) in twins)
            await MeasureAsync(bench, twin, group, round: 0);
        for (var round = 1; round <= bench.Effort.Rounds; round++)
        {
            bench.Say($"round {round} of {bench.Effort.Rounds}, making {bench.Effort.Events:N0} events");
            await MakeEventsAsync(bench);
            foreach (var (twin, group) in Turns.Of(twins, round))
            {
                bench.Say($"round {round} of {bench.Effort.Rounds}, {twin.Name}");
                measurements.Add(await MeasureAsync(bench, twin, group, round));
            }
        }
        return measurements;
    }

    private static async Task MakeEventsAsync(Bench bench)
    {
        await using var node = await Server.StartAsync(LabTwins.DataPlane(bench.Stores), QuoteScenario.IsAnsweredAsync, bench.CancellationToken);
        string[] load =
        [
            "--target", node.Address, "--closed", "--connections", "8", "--in-flight", "16", "--warm-up", "0s", "--duration", "600s",
            "--count", $"{bench.Effort.Events}", .. QuoteScenario.Quote,
        ];
        var run = await Subprocess.RunAsync(Programs.Loadgen, load, cancellationToken: bench.CancellationToken);
        if (!run.Succeeded)
            throw new LabException($"The events could not be made:\n{run.Tail()}");
        // Its drain hands over what is still on its way.
    }

    private async Task<Measurement> MeasureAsync(Bench bench, Twin twin, string group, int round)
    {
        // It never joins the group. An admin client would ask the same, but ends its process when the group has no coordinator yet.
        using var member = new ConsumerBuilder<Ignore, Ignore>(new ConsumerConfig { BootstrapServers = bench.Stores.Kafka, GroupId = group }).Build();
        await using var server = await Server.StartAsync(twin, LivesAsync, bench.CancellationToken);
        var (idle, peak) = (server.Probe.ResidentMegabytes(), 0.0);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(bench.CancellationToken);
        deadline.CancelAfter(Patience);
        try
        {
            var partitions = PartitionsOf(bench.Stores.Kafka);
            while (Lag(member, partitions) > 0)
            {
                peak = Math.Max(peak, server.Probe.ResidentMegabytes());
                await Task.Delay(50, deadline.Token);
            }
        }
        catch (OperationCanceledException) when (!bench.CancellationToken.IsCancellationRequested)
        {
            throw new LabException($"{twin.Name} has not committed all events within {Patience.TotalMinutes:0} minutes:\n{server.Tail()}");
        }
        return new Measurement(Name, twin.Name, round, new Dictionary<string, double>
        {
            [Metric.EventMicros] = server.Probe.Read().Cpu.TotalMicroseconds / bench.Effort.Events,
            [Metric.IdleMemory] = idle,
            [Metric.LoadMemory] = Math.Max(peak, server.Probe.ResidentMegabytes()),
        });
    }

    private static List<TopicPartition> PartitionsOf(string bootstrap)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = bootstrap }).Build();
        return [.. admin.GetMetadata(Events, Asking).Topics.Single().Partitions.Select(p => new TopicPartition(Events, p.PartitionId))];
    }

    private static async Task<bool> LivesAsync(Server server)
    {
        using var response = await Http.GetAsync(new Uri(server.Address + "/livez"));
        return response.IsSuccessStatusCode;
    }

    /// <summary>Records that a group has not committed. Before it has committed anything that is all of them.</summary>
    private static long Lag(IConsumer<Ignore, Ignore> member, IReadOnlyList<TopicPartition> partitions)
    {
        try
        {
            var committed = member.Committed(partitions, Asking).ToDictionary(p => p.TopicPartition, p => p.Offset == Offset.Unset ? 0 : p.Offset.Value);
            return partitions.Sum(partition => member.QueryWatermarkOffsets(partition, Asking).High.Value - committed[partition]);
        }
        catch (KafkaException)
        {
            // The group is about to have another coordinator.
            return long.MaxValue;
        }
    }
}
