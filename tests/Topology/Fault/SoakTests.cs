using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Grpc.Core;
using Hybrid.AppHost.Commands;
using Hybrid.Pricing.V1;
using Hybrid.Toolchain;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Hybrid.Tests.Topology.Fault;

/// <summary>
/// Five minutes of what production does to a system, one fault after the other, under 500 quotes a second. Each is over before the
/// next one, and everything must have healed by itself; at the end every quote is in the ledger once.
/// </summary>
public sealed class SoakTests(ITestOutputHelper output)
{
    private const int Rate = 500;
    private const string Jurisdiction = "T-SOAK";
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(27);

    /// <summary>A stuck state is told, and its end as well, within this time.</summary>
    private static readonly TimeSpan Told = TimeSpan.FromSeconds(10);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task After_every_fault_all_heals_and_every_quote_is_booked_once()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("HYBRID_SOAK") == "1", "It takes more than five minutes: set HYBRID_SOAK=1 to run it.");
        await using var topology = new LinkedTopology();
        await topology.InitializeAsync();
        Assert.SkipWhen(topology.KafkaIsStandIn, "Kafka is the in-memory stand-in here. Set HYBRID_KAFKA_HOME to run this.");
        var rule = new Catalog.V1.TaxRule { Jurisdiction = Jurisdiction, Category = "standard", RatePpm = 190_000 };
        await topology.Catalog.CreateTaxRuleAsync(new() { TaxRule = rule }, cancellationToken: Cancellation);
        await topology.AppliedAsync(await CreateItemAsync(topology, "mug"));

        try
        {
            await SoakAsync(topology);
        }
        catch
        {
            foreach (var resource in RunningTopology.Services)
                output.WriteLine($"--- {resource}, last lines\n{string.Join('\n', await topology.LogTailAsync(resource, 40))}");
            throw;
        }
    }

    private async Task SoakAsync(LinkedTopology topology)
    {
        List<string> everything = [.. RunningTopology.Services, .. RunningTopology.Servers];
        await WellAsync(topology);
        var (processes, connections) = (Processes(), Connections(topology));
        await using var load = await LoadAsync(topology);
        foreach (var resource in everything)
            await StepAsync(topology, $"kill {resource}", () => topology.KillAsync(resource));
        var silent = await SilentCallersAsync(topology);
        foreach (var resource in everything)
        {
            if (resource == "metering")
                await StepAsync(topology, $"pause {resource}, and a peer that vanishes", () => VanishAsync(topology, () => PausedAsync(topology, resource)));
            else
                await StepAsync(topology, $"pause {resource}", () => PausedAsync(topology, resource));
        }
        await StepAsync(topology, "a laptop that sleeps", () => PausedAsync(topology, [.. everything]));
        await StepAsync(topology, "records that are too large", () => ProduceLargeAsync(topology));
        await StepAsync(topology, "added partitions", () => AddPartitionsAsync(topology));
        await StepAsync(topology, "a spell of a read-only store", () => ReadOnlyAsync(topology));
        foreach (var caller in silent)
            await LetGoAsync(caller);
        var answered = await SettledAsync(topology, load);

        // What is deleted with a topic cannot be booked any more: only what has been booked is.
        var events = EventReader.ReadQuotes(topology, Jurisdiction);
        await StepAsync(topology, "topics that are made anew", () => RecreateAsync(topology));
        await using var more = await LoadAsync(topology);
        await StepAsync(topology, "a restored store", () => RestoreAsync(topology));
        foreach (var resource in everything)
            await StepAsync(topology, $"kill {resource} after all that", () => topology.KillAsync(resource));
        answered += await SettledAsync(topology, more);
        await Eventually.BecomesAsync("no process to be left over", Processes, now => now == processes);
        await Eventually.BecomesAsync("no connection to be left over", () => Connections(topology), now => now == connections);

        events.AddRange(EventReader.ReadQuotes(topology, Jurisdiction));
        Assert.Distinct(events.Select(quote => quote.QuoteId));
        Assert.Equal(Sums.Of(events), await Sums.OfLedgerAsync(topology.Database, Jurisdiction));
        output.WriteLine($"{events.Count} quotes are booked, {answered} were answered");
        // Two data planes were killed, twice (README, "What is safe").
        Assert.True(events.Count >= answered - (4 * Rate / 4), "Answered quotes were lost outside the documented window.");
    }

    private static async Task<long> CreateItemAsync(RunningTopology topology, string sku)
    {
        var price = new Money.V1.Money { CurrencyCode = "EUR", MinorUnits = 1_050 };
        return (await topology.Catalog.CreateItemAsync(new() { Item = new() { Sku = sku, Name = sku, UnitPrice = price } }, cancellationToken: Cancellation)).Item.Version;
    }

    private static Task<Loadgen> LoadAsync(RunningTopology topology) => Loadgen.StartAsync(
        topology.Nodes.Select(node => node.Grpc), "--rate", $"{Rate}", "--duration", "1200s", "--warm-up", "0s", "--timeout", "2s",
        "--currency", "EUR", "--jurisdiction", Jurisdiction, "--line", "mug=1");

    /// <summary>
    /// Does one step, and waits until all is well: every service says that all of its work goes on, and every node is on the newest
    /// version, by an Ack whose digest is the control plane's.
    /// </summary>
    private async Task StepAsync(RunningTopology topology, string what, Func<Task> step)
    {
        output.WriteLine($"{DateTime.Now:HH:mm:ss} {what}");
        await step();
        await WellAsync(topology);
        var version = await CreateItemAsync(topology, "item-" + Guid.NewGuid().ToString("N")[..8]);
        await topology.AppliedAsync(version);
    }

    private static async Task WellAsync(RunningTopology topology)
    {
        foreach (var resource in RunningTopology.Servers.Concat(RunningTopology.Services))
            await topology.HealthyAsync(resource);
        // What the dashboard shows may be of some seconds ago.
        foreach (var service in RunningTopology.Services)
        {
            await Eventually.HoldsAsync(
                $"{service} to be ready", () => topology.Http.GetStringAsync(new Uri(topology.App.GetEndpoint(service, "http"), "/readyz"), Cancellation),
                report => (string?)JsonNode.Parse(report)!["status"] == "ready", retryOn: Eventually.IsNotYet);
        }
    }

    /// <summary>How many processes of the programs there are.</summary>
    private static int Processes()
    {
        string[] programs = ["control-plane", "data-plane", "metering", "java"];
        return Process.GetProcesses().Count(process => programs.Contains(process.ProcessName));
    }

    /// <summary>How many connections to the gRPC ports of the services are open, by the table of the kernel.</summary>
    private static int Connections(RunningTopology topology)
    {
        const string established = "01";
        var ports = topology.Nodes.Select(node => node.Grpc.Port).Append(topology.App.GetEndpoint("control-plane", "grpc").Port).Select(port => $":{port:X4}").ToList();
        return ((string[])["/proc/net/tcp", "/proc/net/tcp6"]).Where(File.Exists).SelectMany(File.ReadLines)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Count(fields => fields[3] == established && ports.Exists(fields[1].EndsWith));
    }

    /// <returns>How many quotes were answered.</returns>
    private async Task<long> SettledAsync(RunningTopology topology, Loadgen loadgen)
    {
        var load = await loadgen.StopAsync();
        output.WriteLine($"{load.Answered} of {load.Sent} quotes were answered; failed: {string.Join(", ", load.Failed)}");
        await Settlement.WaitAsync(topology);
        return load.Answered;
    }

    private static async Task PausedAsync(RunningTopology topology, params string[] resources)
    {
        foreach (var resource in resources)
            await topology.CommandAsync(resource, FaultCommands.Pause);
        var paused = Stopwatch.StartNew();
        foreach (var resource in resources)
            await Eventually.BecomesAsync($"{resource} not to be well", () => topology.HealthOf(resource), health => health == HealthStatus.Unhealthy, Told);
        await Task.Delay(TimeSpan.FromTicks(Math.Max(0, (Pause - paused.Elapsed).Ticks)), Cancellation);
        foreach (var resource in resources.Reverse())
            await topology.CommandAsync(resource, FaultCommands.Resume);
    }

    /// <summary>
    /// A node and the control plane vanish from each other while something else goes on. Each has to let go of the connection by
    /// itself, and what the node does not hear of meanwhile reaches it when the link is there again.
    /// </summary>
    private static async Task VanishAsync(LinkedTopology topology, Func<Task> meanwhile)
    {
        Assert.True(topology.Link.Carried > 0, $"{LinkedTopology.Node} is not on the link.");
        topology.Link.FallSilent();
        await CreateItemAsync(topology, "unheard");
        var other = meanwhile();
        try
        {
            await Eventually.HoldsAsync(
                $"the control plane to know that {LinkedTopology.Node} is gone", async () => (await topology.Fleet.GetNodeAsync(new() { NodeId = LinkedTopology.Node })).Node,
                node => !node.Connected);
        }
        finally
        {
            topology.Link.Carry();
            await other;
        }
        await Eventually.BecomesAsync("both ends of every lost connection to be closed", () => topology.Link.HalfOpen, ends => ends == 0, Told);
    }

    /// <summary>Callers that send nothing, and half of something.</summary>
    private static async Task<List<TcpClient>> SilentCallersAsync(RunningTopology topology)
    {
        var callers = new List<TcpClient>();
        foreach (var address in topology.Nodes.SelectMany(node => (Uri[])[node.Http, node.Grpc]).Append(topology.ControlPlaneHttp))
        {
            foreach (var text in (string[])["", "POST /v1/quotes HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"])
            {
                callers.Add(new TcpClient(address.Host, address.Port));
                await callers[^1].GetStream().WriteAsync(System.Text.Encoding.ASCII.GetBytes(text), Cancellation);
            }
        }
        return callers;
    }

    /// <summary>Waits until the server has closed the connection.</summary>
    private static async Task LetGoAsync(TcpClient caller)
    {
        using (caller)
        {
            try
            {
                await caller.GetStream().CopyToAsync(Stream.Null, Cancellation).WaitAsync(Told, Cancellation);
            }
            catch (IOException)
            {
                // It was reset.
            }
        }
    }

    private static async Task ProduceLargeAsync(RunningTopology topology)
    {
        foreach (var topic in (string[])["hybrid.quotes.v1", "hybrid.usage.v1"])
            await EventWriter.ProduceAsync(topology.KafkaBootstrap, topic, 0, new byte[990_000], new Dictionary<string, string>());
    }

    private static async Task AddPartitionsAsync(RunningTopology topology)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = topology.KafkaBootstrap }).Build();
        await admin.CreatePartitionsAsync(((string[])["hybrid.quotes.v1", "hybrid.usage.v1"]).Select(topic => new PartitionsSpecification { Topic = topic, IncreaseTo = 6 }));
    }

    private static async Task RecreateAsync(RunningTopology topology)
    {
        string[] topics = ["hybrid.quotes.v1", "hybrid.usage.v1", "hybrid.catalog.v1"];
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = topology.KafkaBootstrap }).Build();
        await admin.DeleteTopicsAsync(topics);
        foreach (var topic in topics)
            await Eventually.BecomesAsync($"{topic} to be there again", () => admin.GetMetadata(TimeSpan.FromSeconds(5)).Topics, all => all.Exists(t => t.Topic == topic));
    }

    private static async Task ReadOnlyAsync(RunningTopology topology)
    {
        foreach (var (state, ready) in ((string, bool)[])[("on", false), ("off", true)])
        {
            await ExecuteAsync(topology, $"SET default_transaction_read_only = off; ALTER SYSTEM SET default_transaction_read_only = {state}");
            await ExecuteAsync(topology, "SELECT pg_reload_conf()");
            await Eventually.HoldsAsync(
                $"the control plane to be ready: {ready}", async () => (await topology.Http.GetAsync(new Uri(topology.ControlPlaneHttp, "/readyz"), Cancellation)).IsSuccessStatusCode,
                answer => answer == ready, Told);
        }
    }

    private static async Task ExecuteAsync(RunningTopology topology, string sql)
    {
        await using var connection = await topology.Database.OpenConnectionAsync(Cancellation);
        foreach (var statement in sql.Split(';'))
        {
            await using var command = new NpgsqlCommand(statement, connection);
            await command.ExecuteNonQueryAsync(Cancellation);
        }
    }

    /// <summary>A dump is restored after a while in which the catalog and the ledger have gone on.</summary>
    private static async Task RestoreAsync(RunningTopology topology)
    {
        var at = new NpgsqlConnectionStringBuilder((string)topology.Endpoints["connectionStrings"]!["hybriddb"]!);
        string[] server = ["-h", at.Host!, "-p", $"{at.Port}", "-U", at.Username!];
        var dump = Path.Combine(topology.StateFolderOf("postgres"), "soak.dump");
        var booked = (await Sums.OfLedgerAsync(topology.Database, Jurisdiction)).Quotes;
        await Eventually.HoldsAsync("the load in the ledger", () => Sums.OfLedgerAsync(topology.Database, Jurisdiction), sums => sums.Quotes > booked + Rate);
        await RunAsync("pg_dump", [.. server, "-Fc", "-f", dump, at.Database!]);
        await topology.AppliedAsync(await CreateItemAsync(topology, "lost"));
        booked = (await Sums.OfLedgerAsync(topology.Database, Jurisdiction)).Quotes;
        await Eventually.HoldsAsync("more of the load in the ledger", () => Sums.OfLedgerAsync(topology.Database, Jurisdiction), sums => sums.Quotes > booked + (5 * Rate));
        await RunAsync("pg_restore", [.. server, "--clean", "--single-transaction", "-d", at.Database!, dump]);
        var basket = new QuoteRequest { CurrencyCode = "EUR", Jurisdiction = Jurisdiction, Lines = { new QuoteLine { Sku = "lost", Quantity = 1 } } };
        foreach (var node in topology.Nodes)
            await Eventually.HoldsAsync($"{node.Name} to forget what the store has lost", () => CodeAsync(node, basket), code => code == StatusCode.NotFound, Told);

        async Task RunAsync(string program, params string[] arguments)
        {
            var ran = await Subprocess.RunAsync(program, arguments, environment: new Dictionary<string, string?> { ["PGPASSWORD"] = at.Password }, cancellationToken: Cancellation);
            Assert.True(ran.Succeeded, ran.Tail());
        }
    }

    private static async Task<StatusCode> CodeAsync(DataPlaneNode node, QuoteRequest basket)
    {
        try
        {
            await node.Pricing.QuoteAsync(basket, cancellationToken: Cancellation);
            return StatusCode.OK;
        }
        catch (RpcException e)
        {
            return e.StatusCode;
        }
    }

    /// <summary>A topology with a link between one data plane and the control plane.</summary>
    private sealed class LinkedTopology : RunningTopology
    {
        public const string Node = "data-plane-1";
        private const string Address = "CONTROL_PLANE_GRPC";

        public VanishingLink Link { get; } = new();

        protected override void Arrange(IDistributedApplicationBuilder builder) =>
            builder.CreateResourceBuilder<IResourceWithEnvironment>(Node).WithEnvironment(async environment =>
            {
                var target = (IValueProvider)environment.EnvironmentVariables[Address];
                Link.Target = new Uri((await target.GetValueAsync(environment.CancellationToken))!);
                environment.EnvironmentVariables[Address] = Link.Url.OriginalString;
            });

        protected override async Task StopAsync()
        {
            await base.StopAsync();
            await Link.DisposeAsync();
        }
    }
}
