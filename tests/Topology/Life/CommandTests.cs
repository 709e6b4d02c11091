using Grpc.Core;
using Hybrid.AppHost.Commands;

namespace Hybrid.Tests.Topology.Life;

/// <summary>The commands that the dashboard offers on the resources, called as the dashboard calls them.</summary>
[Collection(SharedTopology.Name)]
public sealed class CommandTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    [Fact]
    public async Task What_is_stopped_on_purpose_stays_stopped_while_what_crashes_comes_back()
    {
        string[] stopped = ["metering", "kafka"];
        foreach (var resource in stopped)
        {
            await ResourceProcess.CommandAsync(Topology.App, resource, KnownResourceCommands.StopCommand);
            await Topology.App.ResourceNotifications.WaitForResourceAsync(resource, KnownResourceStates.TerminalStates, Cancellation).WaitAsync(Eventually.Patience, Cancellation);
        }

        // A crash that comes later is answered first, so the stops have been seen by then.
        Topology.ExpectCrash("postgres");
        await ResourceProcess.KillAndWaitForReturnAsync(Topology.App, "postgres");
        Assert.All(stopped, resource => Assert.Null(ResourceProcess.IdOf(Topology.App, resource)));

        foreach (var resource in stopped.Reverse())
        {
            await ResourceProcess.CommandAsync(Topology.App, resource, KnownResourceCommands.StartCommand);
            await ResourceProcess.HealthyAsync(Topology.App, resource);
        }
    }

    [Fact]
    public async Task A_paused_node_does_not_answer_until_it_is_resumed()
    {
        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        var node = Topology.Nodes[1];
        await WaitForVersionAsync(node, Basket((item.Sku, 1)), rule.Version);

        await ResourceProcess.CommandAsync(Topology.App, node.Name, FaultCommands.Pause);
        try
        {
            var hanging = await Assert.ThrowsAsync<RpcException>(async () => await node.Pricing.QuoteAsync(
                Basket((item.Sku, 1)), deadline: DateTime.UtcNow.AddMilliseconds(500), cancellationToken: Cancellation));
            Assert.Equal(StatusCode.DeadlineExceeded, hanging.StatusCode);
        }
        finally
        {
            await ResourceProcess.CommandAsync(Topology.App, node.Name, FaultCommands.Resume);
        }
        await Eventually.AnswersAsync("a quote after the pause", async () => await node.Pricing.QuoteAsync(Basket((item.Sku, 1)), cancellationToken: Cancellation));
    }

    [Fact]
    public async Task Send_quotes_reports_what_was_answered()
    {
        var result = await ResourceProcess.CommandAsync(
            Topology.App, "data-plane-1", SendQuotesCommand.Name, (SendQuotesCommand.Rate, "100"), (SendQuotesCommand.Duration, "2"));
        Output.WriteLine(result.Message ?? "");
        Assert.Contains("200 of 200 quotes answered", result.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Check_the_loop_finds_every_quote_in_the_ledger()
    {
        var result = await ResourceProcess.CommandAsync(Topology.App, "control-plane", LoopCheckCommand.Name);
        Output.WriteLine(result.Message ?? "");
        Assert.Contains("all in the ledger", result.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("control-plane")]
    [InlineData("data-plane-1")]
    public async Task Rebuild_and_restart_leaves_another_process(string resource)
    {
        var before = ResourceProcess.IdOf(Topology.App, resource);
        await ResourceProcess.CommandAsync(Topology.App, resource, KnownResourceCommands.RebuildCommand);
        await Eventually.HoldsAsync("another process", () => Task.FromResult(ResourceProcess.IdOf(Topology.App, resource)), id => id is not null && id != before);
        await ResourceProcess.HealthyAsync(Topology.App, resource);
    }
}
