using Grpc.Core;
using Hybrid.AppHost.Commands;

namespace Hybrid.Tests.Topology.Life;

/// <summary>The commands that the dashboard offers on the resources, called as the dashboard calls them.</summary>
public sealed class CommandTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    [Fact]
    public async Task What_is_stopped_on_purpose_stays_stopped_while_what_crashes_comes_back()
    {
        string[] stopped = ["metering", "kafka"];
        foreach (var resource in stopped)
        {
            await Topology.CommandAsync(resource, KnownResourceCommands.StopCommand);
            await Topology.App.ResourceNotifications.WaitForResourceAsync(resource, KnownResourceStates.TerminalStates, Cancellation)
                .WaitAsync(Eventually.Patience, Cancellation);
        }

        // A crash that comes later is answered first, so the stops have been seen by then.
        await Topology.KillAsync("postgres");
        Assert.All(stopped, resource => Assert.Null(Topology.ProcessOf(resource)));

        foreach (var resource in stopped.Reverse())
        {
            await Topology.CommandAsync(resource, KnownResourceCommands.StartCommand);
            await Topology.HealthyAsync(resource);
        }
    }

    [Fact]
    public async Task A_paused_node_does_not_answer_until_it_is_resumed()
    {
        var basket = await StockAsync(100);
        var node = Topology.Nodes[1];

        await Topology.CommandAsync(node.Name, FaultCommands.Pause);
        try
        {
            var hanging = await Assert.ThrowsAsync<RpcException>(
                async () => await node.Pricing.QuoteAsync(basket, deadline: DateTime.UtcNow.AddMilliseconds(500), cancellationToken: Cancellation));
            Assert.Equal(StatusCode.DeadlineExceeded, hanging.StatusCode);
        }
        finally
        {
            await Topology.CommandAsync(node.Name, FaultCommands.Resume);
        }
        await Eventually.AnswersAsync("a quote after the pause", async () => await node.Pricing.QuoteAsync(basket, cancellationToken: Cancellation));
    }

    [Fact]
    public async Task Send_quotes_reports_what_was_answered()
    {
        var message = await Topology.CommandAsync("data-plane-1", SendQuotesCommand.Name, (SendQuotesCommand.Rate, "100"), (SendQuotesCommand.Duration, "2"));
        Assert.Contains("200 of 200 quotes answered", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Check_the_loop_finds_every_quote_in_the_ledger() =>
        Assert.Contains("all in the ledger", await Topology.CommandAsync("control-plane", LoopCheckCommand.Name), StringComparison.Ordinal);

    [Fact]
    public async Task Measure_links_the_report_of_a_quick_scenario()
    {
        var message = await Topology.CommandAsync("control-plane", LabCommand.Name, (LabCommand.Scenario, "plaintext"), (LabCommand.Rounds, "1"));

        var link = Assert.Single(message.Split(' '), word => word.StartsWith("http://", StringComparison.Ordinal));
        using var http = new HttpClient();
        var report = await http.GetStringAsync(new Uri(link), Cancellation);
        Assert.Contains("What does an answer without any work cost?", report, StringComparison.Ordinal);
        Assert.Contains("<svg", report, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("control-plane")]
    [InlineData("data-plane-1")]
    public Task Rebuild_and_restart_leaves_another_process(string resource) =>
        Topology.ReplacedAsync(resource, () => Topology.CommandAsync(resource, KnownResourceCommands.RebuildCommand));
}
