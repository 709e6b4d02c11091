
namespace Hybrid.Tests.Topology.Fault;

/// <summary>Poison records and a corrupt snapshot file: noted, set aside, and the rest goes on.</summary>
[Collection(SharedTopology.Name)]
public sealed class PoisonTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    [Theory]
    [InlineData("hybrid.quotes.v1")]
    [InlineData("hybrid.usage.v1")]
    public async Task A_poison_record_goes_to_the_dead_letter_topic_and_the_partition_goes_on(string topic)
    {
        var poison = System.Text.Encoding.UTF8.GetBytes("poison " + Guid.NewGuid());
        for (var partition = 0; partition < 4; partition++)
            await EventWriter.ProduceAsync(Topology.KafkaBootstrap, topic, partition, poison);

        var dead = await Eventually.HoldsAsync(
            "the poison in the dead-letter topic",
            () => Task.Run(() => EventReader.ReadAll(Topology.KafkaBootstrap, topic + ".dead-letter").Where(r => r.Value?.AsSpan().SequenceEqual(poison) == true).ToList()),
            records => records.Count == 4,
            retryOn: e => e is InvalidOperationException);
        Assert.All(dead, record =>
        {
            Assert.NotEmpty(record.Headers["dead-letter-reason"]);
            Assert.Matches("^[0-3]$", record.Headers["dead-letter-partition"]);
            Assert.Matches("^[0-9]+$", record.Headers["dead-letter-offset"]);
        });

        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        for (var i = 0; i < 20; i++)
            await WaitForVersionAsync(Topology.Nodes[0], Basket((item.Sku, 1)), rule.Version);
        await Eventually.HoldsAsync(
            "later quotes in the ledger", () => Sums.OfLedgerAsync(Topology.Database, Jurisdiction), sums => sums.Quotes >= 20);
    }

    [Fact]
    public async Task A_corrupt_snapshot_file_is_set_aside_and_the_node_comes_back()
    {
        var item = await CreateItemAsync(4_242);
        var rule = await CreateTaxRuleAsync(190_000);
        var node = Topology.Nodes[0];
        await Topology.AppliedAsync(node.Name, rule.Version);

        await ResourceProcess.CommandAsync(Topology.App, node.Name, KnownResourceCommands.StopCommand);
        var file = Path.Combine(Topology.StateFolderOf(node.Name), "snapshot.bin");
        Assert.True(File.Exists(file), "The node saved no snapshot.");
        byte[] garbage = [0xde, 0xad, 0xbe, 0xef];
        await File.WriteAllBytesAsync(file, garbage, Cancellation);
        await ResourceProcess.CommandAsync(Topology.App, node.Name, KnownResourceCommands.StartCommand);

        var quote = await WaitForVersionAsync(node, Basket((item.Sku, 1)), rule.Version);
        Assert.Equal(4_242, quote.NetMinor);
        Assert.Equal(garbage, await File.ReadAllBytesAsync(file + ".corrupt", Cancellation));
    }
}
