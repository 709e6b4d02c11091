using System.Text;

namespace Hybrid.Tests.Topology.Fault;

/// <summary>Poison records and a corrupt snapshot file: noted, set aside, and the rest goes on.</summary>
public sealed class PoisonTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    [Theory]
    [InlineData("hybrid.quotes.v1", "metering", "a record goes to the dead letters")]
    [InlineData("hybrid.usage.v1", "control-plane", "a usage record cannot be read; it was published as a dead letter")]
    public async Task A_poison_record_becomes_a_dead_letter_of_its_trace_and_the_partition_goes_on(string topic, string service, string logged)
    {
        var caller = new TracedRequest("shop=poison");
        var poison = Encoding.UTF8.GetBytes("poison " + Guid.NewGuid());
        for (var partition = 0; partition < 4; partition++)
            await EventWriter.ProduceAsync(Topology.KafkaBootstrap, topic, partition, poison, caller.Headers);

        var dead = await Eventually.BecomesAsync(
            "the poison in the dead-letter topic",
            () => EventReader.ReadAll(Topology.KafkaBootstrap, topic + ".dead-letter").FindAll(record => poison.AsSpan().SequenceEqual(record.Value)),
            records => records.Count == 4);
        Assert.Equal(["0", "1", "2", "3"], dead.Select(record => record.Headers["dead-letter-partition"]).Order(StringComparer.Ordinal));
        Assert.All(dead, record =>
        {
            Assert.NotEmpty(record.Headers["dead-letter-reason"]);
            Assert.Matches("^[0-9]+$", record.Headers["dead-letter-offset"]);
            Assert.Equal((caller.TraceParent, caller.State), (record.Headers["traceparent"], record.Headers["tracestate"]));
        });
        var log = await Eventually.FindAsync("the log record", () => Topology.Telemetry.LogRecords, r => r.Signal.TraceId.Hex() == caller.TraceId);
        Assert.Equal((service, logged, 8), (log.Service, log.Signal.Body.StringValue, log.Signal.SpanId.Length));

        var basket = await StockAsync(100);
        for (var i = 0; i < 20; i++)
            await Topology.Nodes[0].Pricing.QuoteAsync(basket, cancellationToken: Cancellation);
        await Eventually.HoldsAsync("later quotes in the ledger", BookedAsync, sums => sums.Quotes == 20);
    }

    [Fact]
    public async Task A_corrupt_snapshot_file_is_set_aside_and_the_node_comes_back()
    {
        var basket = await StockAsync(4_242, 190_000);
        var node = Topology.Nodes[0];

        await Topology.CommandAsync(node.Name, KnownResourceCommands.StopCommand);
        var file = Path.Combine(Topology.StateFolderOf(node.Name), "snapshot.bin");
        Assert.True(File.Exists(file), "The node saved no snapshot.");
        byte[] garbage = [0xde, 0xad, 0xbe, 0xef];
        await File.WriteAllBytesAsync(file, garbage, Cancellation);
        await Topology.CommandAsync(node.Name, KnownResourceCommands.StartCommand);

        var quote = await Eventually.AnswersAsync("a quote", async () => await node.Pricing.QuoteAsync(basket, cancellationToken: Cancellation));
        Assert.Equal(4_242, quote.NetMinor);
        Assert.Equal(garbage, await File.ReadAllBytesAsync(file + ".corrupt", Cancellation));
    }
}
