using System.Net;
using System.Net.Sockets;

namespace Hybrid.Tests.Topology.Life;

/// <summary>AppHost from start to end, as a person at a terminal sees it.</summary>
public sealed class HostLifeTests(ITestOutputHelper output) : IDisposable
{
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(60);

    private readonly StateDirectory state = new();

    public void Dispose() => state.Dispose();

    [Fact]
    public async Task Ctrl_C_under_load_loses_no_answered_quote_and_leaves_no_process()
    {
        const string jurisdiction = "T-CTRL-C";
        LoadResult load;
        await using (var host = new HostProcess(state.Path, "--random-ports", "--infrastructure", "native"))
        {
            var shop = new Shop(await host.HealthyAsync(), jurisdiction);
            await shop.StockAsync();
            using var loadgen = await Loadgen.StartAsync(
                shop.Nodes, "--rate", "500", "--duration", "120s", "--warm-up", "0s", "--timeout", "2s",
                "--currency", Shop.Currency, "--jurisdiction", jurisdiction, "--line", $"{Shop.Sku}=1");
            await Eventually.HoldsAsync("the load in the ledger", shop.BookedAsync, booked => booked > 500);

            await host.SignalAsync("INT", group: true);
            Assert.Equal(0, await host.EndedAsync(EndPatience));
            load = await loadgen.StopAsync();
            output.WriteLine(host.Output);
            await Eventually.HoldsAsync("the processes of the host to be gone", () => Task.FromResult(host.Leftovers()), left => left.Count == 0);
        }

        await using (var host = new HostProcess(state.Path, "--random-ports", "--infrastructure", "native"))
        {
            var shop = new Shop(await host.HealthyAsync(), jurisdiction);
            var ledger = await shop.SettledAsync();
            var events = await Task.Run(shop.Events);
            output.WriteLine($"{load.Answered} of {load.Sent} answered, {events.Count} events, {ledger} in the ledger after the restart");
            Assert.Equal(events.Count, ledger);
            // The two quotes of the stocking, and calls that failed for the caller but had been priced before the node went, come on top.
            Assert.InRange(ledger, load.Answered + 2, load.Sent + 2);
        }
    }

    [Fact]
    public async Task A_killed_host_leaves_no_process_and_the_next_start_works()
    {
        var killed = new HostProcess(state.Path, "--random-ports", "--infrastructure", "native");
        await killed.HealthyAsync();
        await killed.SignalAsync("KILL");
        await killed.EndedAsync(EndPatience);
        await Eventually.HoldsAsync("the processes of the killed host to be gone", () => Task.FromResult(killed.Leftovers()), left => left.Count == 0, TimeSpan.FromSeconds(10));
        await killed.DisposeAsync();

        await using var next = new HostProcess(state.Path, "--random-ports", "--infrastructure", "native", "--check");
        Assert.Equal(0, await next.EndedAsync(TimeSpan.FromMinutes(5)));
        Assert.Contains("Check passed", next.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_second_Ctrl_C_ends_at_once()
    {
        await using var host = new HostProcess(state.Path, "--random-ports", "--infrastructure", "native");
        await host.HealthyAsync();
        await host.SignalAsync("INT", group: true);
        await host.SignalAsync("INT", group: true);
        Assert.Equal(130, await host.EndedAsync(TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public async Task A_taken_port_is_one_line_and_exit_code_1()
    {
        using var holder = new TcpListener(IPAddress.Loopback, AppHost.Start.Ports.Documented.Metering);
        try
        {
            holder.Start();
        }
        catch (SocketException)
        {
            // Somebody else holds it: as good.
        }
        await AssertRefusedAsync($"Port {AppHost.Start.Ports.Documented.Metering} of metering is taken by");
    }

    [Fact]
    public async Task Data_of_another_Postgres_version_is_refused_by_name()
    {
        var data = Path.Combine(state.Path, "postgres", "data");
        Directory.CreateDirectory(data);
        await File.WriteAllTextAsync(Path.Combine(data, "PG_VERSION"), "9\n", TestContext.Current.CancellationToken);
        await AssertRefusedAsync("was made by PostgreSQL 9", "--random-ports", "--infrastructure", "native");
        Assert.True(File.Exists(Path.Combine(data, "PG_VERSION")), "The data folder was removed.");
    }

    [Fact]
    public async Task A_state_folder_that_cannot_be_used_is_one_line_and_exit_code_1()
    {
        var file = Path.Combine(state.Path, "file");
        await File.WriteAllTextAsync(file, "", TestContext.Current.CancellationToken);
        await using var host = new HostProcess(Path.Combine(file, "below"), "--random-ports");
        Assert.Equal(1, await host.EndedAsync(EndPatience));
        AssertOneLine(host, "cannot be used");
    }

    private async Task AssertRefusedAsync(string message, params string[] arguments)
    {
        await using var host = new HostProcess(state.Path, arguments);
        Assert.Equal(1, await host.EndedAsync(TimeSpan.FromMinutes(2)));
        // What the host prepared must not outlive it: a compiler would hold the lock of the next build.
        Assert.DoesNotContain(host.Leftovers(), left =>
            ((string[])["cargo", "go build", "StorageTool", "initdb"]).Any(program => left.Contains(program, StringComparison.Ordinal)));
        AssertOneLine(host, message);
    }

    private static void AssertOneLine(HostProcess host, string message)
    {
        Assert.Single(host.Output.Split('\n'), line => line.Contains(message, StringComparison.Ordinal));
        Assert.DoesNotContain("   at ", host.Output, StringComparison.Ordinal);
    }
}
