using System.Net;
using System.Net.Sockets;
using Hybrid.AppHost.Start;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Topology.Life;

/// <summary>AppHost from start to end, as a person at a terminal sees it.</summary>
public sealed class HostLifeTests(ITestOutputHelper output) : IDisposable
{
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan PreparationPatience = TimeSpan.FromMinutes(5);

    private readonly StateDirectory state = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => state.Dispose();

    [Fact]
    public async Task Ctrl_C_under_load_leaves_no_process_and_a_restart_has_the_catalog_and_every_answered_quote()
    {
        LoadResult load;
        await using (var host = Start())
        {
            await host.InitializeAsync();
            var price = new Money.V1.Money { CurrencyCode = "EUR", MinorUnits = 1_050 };
            await host.Catalog.CreateItemAsync(new() { Item = new() { Sku = "mug", Name = "Mug", UnitPrice = price } }, cancellationToken: Cancellation);
            var rule = new TaxRule { Jurisdiction = "T-LIFE", Category = "standard", RatePpm = 190_000 };
            await host.AppliedAsync((await host.Catalog.CreateTaxRuleAsync(new() { TaxRule = rule }, cancellationToken: Cancellation)).TaxRule.Version);
            await using var loadgen = await Loadgen.StartAsync(
                host.Nodes.Select(node => node.Grpc), "--rate", "500", "--duration", "120s", "--warm-up", "0s", "--timeout", "2s",
                "--currency", "EUR", "--jurisdiction", "T-LIFE", "--line", "mug=1");
            await Eventually.HoldsAsync("the load in the ledger", () => Sums.OfLedgerAsync(host.Database, "T-LIFE"), booked => booked.Quotes > 500);

            await host.Process.SignalAsync("INT", toGroup: true);
            Assert.Equal(0, await host.Process.EndedAsync(EndPatience));
            load = await loadgen.StopAsync();
            output.WriteLine(host.Output);
            await host.GoneAsync();
        }

        await using (var host = Start())
        {
            await host.InitializeAsync();
            var basket = new QuoteRequest { CurrencyCode = "EUR", Jurisdiction = "T-LIFE", Lines = { new QuoteLine { Sku = "mug", Quantity = 1 } } };
            foreach (var node in host.Nodes)
                await node.Pricing.QuoteAsync(basket, cancellationToken: Cancellation);
            Assert.SkipWhen(host.KafkaIsStandIn, "Kafka is the in-memory stand-in here: it forgets its events when it ends. Set HYBRID_KAFKA_HOME to run this.");
            await Settlement.WaitAsync(host);
            var ledger = await Sums.OfLedgerAsync(host.Database, "T-LIFE");
            output.WriteLine($"{load.Answered} of {load.Sent} answered; after the restart and two quotes the ledger has {ledger}");
            Assert.Equal(Sums.Of(EventReader.ReadQuotes(host, "T-LIFE")), ledger);
            // Calls that failed for the caller but had been priced before the node went come on top.
            Assert.InRange(ledger.Quotes - 2, load.Answered, load.Sent);
        }
    }

    [Fact]
    public async Task A_killed_host_leaves_no_process_and_the_next_start_works()
    {
        await using (var killed = Start())
        {
            await killed.InitializeAsync();
            await killed.Process.SignalAsync("KILL");
            await killed.Process.EndedAsync(EndPatience);
            await killed.GoneAsync(TimeSpan.FromSeconds(10));
        }

        await using var next = Start("--check");
        Assert.Equal(0, await next.Process.EndedAsync(PreparationPatience));
        Assert.Contains("Check passed", next.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_second_Ctrl_C_ends_at_once()
    {
        await using var host = Start();
        await host.InitializeAsync();
        await host.Process.SignalAsync("INT", toGroup: true);
        // Two signals that are both pending are one.
        await Eventually.BecomesAsync("the host to stop", () => host.Output, output => output.Contains("Stopping in order", StringComparison.Ordinal));
        await host.Process.SignalAsync("INT", toGroup: true);
        Assert.Equal(130, await host.Process.EndedAsync(TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public async Task A_taken_port_is_one_line_and_exit_code_1()
    {
        using var holder = new TcpListener(IPAddress.Loopback, Ports.Documented.Metering);
        try
        {
            holder.Start();
        }
        catch (SocketException)
        {
            // Somebody else holds it: as good.
        }
        await AssertRefusedAsync($"Port {Ports.Documented.Metering} of metering is taken by", new HostProcess(state.Path));
    }

    [Fact]
    public async Task Data_of_another_Postgres_version_is_refused_by_name()
    {
        var version = Path.Combine(state.Path, "postgres", "data", "PG_VERSION");
        Directory.CreateDirectory(Path.GetDirectoryName(version)!);
        await File.WriteAllTextAsync(version, "9\n", Cancellation);
        await AssertRefusedAsync("was made by PostgreSQL 9", Start());
        Assert.True(File.Exists(version), "The data folder was removed.");
    }

    [Fact]
    public async Task A_state_folder_that_cannot_be_used_is_one_line_and_exit_code_1()
    {
        var file = Path.Combine(state.Path, "file");
        await File.WriteAllTextAsync(file, "", Cancellation);
        await AssertRefusedAsync("cannot be used", new HostProcess(Path.Combine(file, "below"), "--random-ports"));
    }

    private HostProcess Start(params string[] arguments) => new(state.Path, ["--random-ports", "--infrastructure", "native", .. arguments]);

    private static async Task AssertRefusedAsync(string message, HostProcess started)
    {
        await using var host = started;
        Assert.Equal(1, await host.Process.EndedAsync(PreparationPatience));
        // What the host prepared must not outlive it: a compiler would hold the lock of the next build.
        Assert.DoesNotContain(host.Leftovers(), left =>
            ((string[])["cargo", "go build", "StorageTool", "initdb"]).Any(program => left.Contains(program, StringComparison.Ordinal)));
        Assert.Single(host.Output.Split('\n'), line => line.Contains(message, StringComparison.Ordinal));
        Assert.DoesNotContain("   at ", host.Output, StringComparison.Ordinal);
    }
}
