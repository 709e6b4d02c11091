using System.Diagnostics;
using System.Globalization;

namespace Hybrid.Tests.Topology.Fault;

/// <summary>kill -9 of any one process under load: it comes back, quotes go on, and the ledger has each of them once.</summary>
public sealed class KillTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private const int Rate = 500;

    /// <summary>Events of this much load may be lost with a data plane that is killed (README, "What is safe").</summary>
    private static readonly TimeSpan LossWindow = TimeSpan.FromMilliseconds(250);

    [Theory]
    [InlineData("control-plane")]
    [InlineData("metering")]
    [InlineData("postgres")]
    [InlineData("kafka")]
    public async Task A_killed_process_comes_back_and_no_quote_fails_is_lost_or_doubled(string resource)
    {
        if (resource is "kafka" or "metering" && Topology.KafkaIsStandIn)
            Assert.Skip("Kafka is the in-memory stand-in here: it forgets everything when it is killed, and has no transactions to keep. Set HYBRID_KAFKA_HOME to run this.");

        var (load, ledger) = await KillUnderLoadAsync(resource);

        Assert.Empty(load.Failed);
        Assert.Equal(load.Sent, load.Answered);
        Assert.Equal(load.Answered, ledger.Quotes);
        Assert.Equal(load.GrossMinor, ledger.Gross.ToString(CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task A_killed_data_plane_comes_back_and_loses_no_more_than_the_documented_window()
    {
        var (load, ledger) = await KillUnderLoadAsync("data-plane-1");

        // A quote can fail for the caller after its event has left, and the last events of the process can die with it.
        Output.WriteLine($"{load.Answered - ledger.Quotes} answered quotes have no event, {load.Failed.Values.Sum()} calls failed");
        Assert.InRange(ledger.Quotes, load.Answered - (long)(Rate * LossWindow.TotalSeconds), load.Sent);
    }

    /// <returns>What became of the load, and what the ledger has of it: each event in Kafka once.</returns>
    private async Task<(LoadResult Load, Sums Ledger)> KillUnderLoadAsync(string resource)
    {
        var sku = (await StockAsync(1_234, 190_000)).Lines[0].Sku;
        await using var loadgen = await Loadgen.StartAsync(
            Topology.Nodes.Select(node => node.Grpc), "--rate", $"{Rate}", "--duration", "120s", "--warm-up", "0s",
            "--currency", "EUR", "--jurisdiction", Jurisdiction, "--line", $"{sku}=2");
        await Eventually.HoldsAsync("quotes of the load in the ledger", BookedAsync, sums => sums.Quotes > Rate);

        var clock = Stopwatch.StartNew();
        await Topology.KillAsync(resource);
        Output.WriteLine($"{resource} was healthy again after {clock.Elapsed.TotalSeconds:0.0} s");
        var booked = (await Eventually.AnswersAsync("the ledger", BookedAsync)).Quotes;
        await Eventually.HoldsAsync("quotes to be booked again", BookedAsync, sums => sums.Quotes > booked + Rate, retryOn: Eventually.IsNotYet);
        Output.WriteLine($"the ledger moved on after {clock.Elapsed.TotalSeconds:0.0} s");

        var load = await loadgen.StopAsync();
        await Settlement.WaitAsync(Topology);
        var events = OwnEvents();
        Assert.Distinct(events.Select(quote => quote.QuoteId));
        var ledger = await BookedAsync();
        Assert.Equal(Sums.Of(events), ledger);
        return (load, ledger);
    }
}
