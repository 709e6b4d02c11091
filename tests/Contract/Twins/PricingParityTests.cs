using System.Net;
using System.Text;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Planes;
using Hybrid.Toolchain;
using Hybrid.Usage.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>The data plane and the pricing twins answer alike, but for the table in Lab/twins/README.md, and report what they answer.</summary>
public sealed class PricingParityTests(BarePlanes planes, ITestOutputHelper output) : PlanesTest(planes, output)
{
    private readonly Differences differences = new("data-plane", "Go", "Rust");

    protected override IReadOnlyList<string> Concerned => ["kafka"];

    [Theory]
    [InlineData("data-plane")]
    [InlineData("Go")]
    [InlineData("Rust")]
    public async Task Answers_as_the_vectors_the_oracle_and_the_table_say_and_reports_every_quote(string name)
    {
        await SetUp.BuildTwinsAsync();
        await using var control = new ScriptedControlPlane();
        await control.StartAsync();
        var node = $"twin-{name}";
        await using var twin = await StartAsync(name, node, control.Address);
        using var channel = GrpcChannel.ForAddress(twin.Address);
        var cases = new PricingCases(name, channel, OfferAsync, differences);

        await twin.TestAsync(async () =>
        {
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.NotServing, await HealthAsync(channel));
            Assert.Equal("Unavailable SNAPSHOT_MISSING hybrid.pricing []", await cases.AskAsync(new(), 0));
            var failures = await cases.FailuresAsync();
            Assert.True(failures.Count == 0, string.Join('\n', failures));
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, await HealthAsync(channel));
            Assert.Empty(differences.Unused);
            Assert.Empty(differences.Needless);
            var missing = await Eventually.BecomesAsync("an event of every quote", () => Unreported(cases, node), events => events.Count == 0, TimeSpan.FromSeconds(20));
            Assert.Empty(missing);
        });

        async Task<long> OfferAsync(OracleCatalog catalog)
        {
            var (version, ack) = await control.OfferAsync(catalog, node);
            Assert.Empty(ack.Rejects);
            return version;
        }
    }

    [Theory]
    [InlineData("Go")]
    [InlineData("Rust")]
    public async Task Follows_the_control_plane_by_its_changes(string name)
    {
        await SetUp.BuildTwinsAsync();
        var (item, rule) = (await CreateItemAsync(1_000), await CreateTaxRuleAsync(190_000));
        var node = $"follower-{name}";
        await using var twin = await StartAsync(name, node, Planes.ControlPlaneGrpc);
        using var client = new DataPlaneNode(node, twin.Address, twin.Address);
        await twin.TestAsync(async () =>
        {
            Assert.Equal(1_190, (await WaitForVersionAsync(client, Basket((item.Sku, 1)), rule.Version)).GrossMinor);
            item.UnitPrice.MinorUnits = 2_000;
            var changed = (await Planes.Catalog.UpdateItemAsync(new() { Item = item }, cancellationToken: Cancellation)).Item;
            Assert.Equal(2_380, (await WaitForVersionAsync(client, Basket((item.Sku, 1)), changed.Version)).GrossMinor);
            await Planes.Catalog.DeleteItemAsync(new() { Sku = item.Sku, Version = changed.Version }, cancellationToken: Cancellation);
            await Eventually.HoldsAsync("the item to be gone", () => CodeAsync(client, Basket((item.Sku, 1))), code => code == StatusCode.NotFound);
            await Eventually.HoldsAsync(
                "the fleet to say so", async () => (await Planes.Fleet.ListNodesAsync(new())).Nodes,
                nodes => nodes.Any(n => n.NodeId == node && n.Connected && n.AppliedVersion > changed.Version && n.Rejects.Count == 0));
        });
    }

    [Fact]
    public async Task A_server_that_skips_validation_and_reports_nothing_fails()
    {
        await using var cheat = await Cheat.StartAsync();
        using var channel = GrpcChannel.ForAddress(cheat.Address);
        var cases = new PricingCases("data-plane", channel, cheat.OfferAsync, differences);
        var failures = await cases.FailuresAsync();
        Output.WriteLine(string.Join('\n', failures));
        Assert.Contains(failures, failure => failure.StartsWith("errors: no lines", StringComparison.Ordinal));
        Assert.Contains(failures, failure => failure.StartsWith("errors: a bad coupon is found before a bad line", StringComparison.Ordinal));
        Assert.Contains(failures, failure => failure.StartsWith("random", StringComparison.Ordinal));
        Assert.DoesNotContain(failures, failure => failure.StartsWith("discounts", StringComparison.Ordinal));
        Assert.NotEmpty(Unreported(cases, "cheat"));
    }

    private Task<RunningTwin> StartAsync(string name, string node, Uri controlPlane) => RunningTwin.StartAsync(name, Program(name), (port, other, state) => new()
    {
        ["NODE_ID"] = node,
        ["GRPC_PORT"] = $"{port}",
        ["HTTP_PORT"] = $"{other}",
        ["STATE_DIR"] = state,
        ["CONTROL_PLANE_GRPC"] = $"{controlPlane}",
        ["ConnectionStrings__kafka"] = Planes.KafkaBootstrap,
        ["HYBRID_KAFKA_STAND_IN"] = Planes.KafkaIsStandIn ? "true" : "false",
    });

    private static async Task<StatusCode> CodeAsync(DataPlaneNode node, QuoteRequest request)
    {
        try
        {
            await node.Pricing.QuoteAsync(request, cancellationToken: Cancellation);
            return StatusCode.OK;
        }
        catch (RpcException e)
        {
            return e.StatusCode;
        }
    }

    private static string Program(string name) => name switch
    {
        "data-plane" => Programs.Rust("data-plane"),
        "Go" => Programs.Go("pricing"),
        _ => Programs.Rust("pricing"),
    };

    private static async Task<HealthCheckResponse.Types.ServingStatus> HealthAsync(GrpcChannel channel) =>
        (await new Health.HealthClient(channel).CheckAsync(new() { Service = "hybrid.pricing.v1.PricingService" }, cancellationToken: Cancellation)).Status;

    /// <summary>What is wrong with the events of the answered quotes: each must have one, with the quote as it was answered, in its caller's trace.</summary>
    private List<string> Unreported(PricingCases cases, string node)
    {
        var reported = EventReader.ReadAll(Planes.KafkaBootstrap, "hybrid.quotes.v1").SelectMany(record => Reported(record, node)).ToLookup(e => e.Quote.QuoteId);
        return
        [
            .. cases.Answered.Where(asked => reported[asked.Quote.QuoteId].ToList() is not [var one] || !one.Quote.Equals(asked.Quote)
                || !one.Parent.StartsWith($"00-{asked.TraceId}-", StringComparison.Ordinal) || one.State != "test=1")
                .Select(asked => $"{asked.Quote.QuoteId} in {asked.TraceId}: {string.Join(" and ", reported[asked.Quote.QuoteId])}"),
        ];
    }

    /// <summary>The quotes in a record of a node, each with its trace; none where the record itself is not as the contract has it.</summary>
    private static List<(QuoteResponse Quote, string Parent, string State)> Reported(SeenRecord record, string node)
    {
        var headers = record.Headers;
        string Header(string name) => headers.GetValueOrDefault(name, "");
        SeenRecord[] one = [record];
        List<(QuoteResponse Quote, string Parent, string State)> quotes = Header("ce_type") switch
        {
            "hybrid.pricing.quote.priced.v1" =>
                [.. one.Messages(QuotePriced.Parser).Where(e => e.Message.NodeId == node).Select(e => (e.Message.Quote, Header("traceparent"), Header("tracestate")))],
            "hybrid.pricing.quotes.priced.v1" =>
                [.. one.Messages(QuotesPriced.Parser).Where(e => e.Message.NodeId == node).SelectMany(e => e.Message.Quotes).Select(q => (q.Quote, q.Traceparent, q.Tracestate))],
            _ => [],
        };
        var (first, id) = (quotes.FirstOrDefault().Quote, Header("ce_id"));
        var right = first is not null && id == first.QuoteId && Header("ce_specversion") == "1.0" && Header("ce_source").Length > 0
            && Header("content-type") == "application/protobuf" && Encoding.UTF8.GetString(record.Key ?? []) == id
            && JsonParser.Default.Parse<Timestamp>($"\"{Header("ce_time")}\"").Equals(first.PricedAt);
        return right ? quotes : [];
    }

    /// <summary>Prices what can be priced, answers the rest with an empty quote, and reports nothing.</summary>
    private sealed class Cheat : PricingService.PricingServiceBase, IAsyncDisposable
    {
        private WebApplication? server;
        private (OracleCatalog Catalog, long Version) current;

        public Uri Address => new(server!.Urls.Single());

        public static async Task<Cheat> StartAsync()
        {
            var cheat = new Cheat();
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
            builder.Services.AddGrpc();
            builder.Services.AddSingleton(cheat);
            cheat.server = builder.Build();
            cheat.server.MapGrpcService<Cheat>();
            await cheat.server.StartAsync();
            return cheat;
        }

        public Task<long> OfferAsync(OracleCatalog catalog)
        {
            current = (catalog, current.Version + 1);
            return Task.FromResult(current.Version);
        }

        public override Task<QuoteResponse> Quote(QuoteRequest request, ServerCallContext context)
        {
            var now = DateTimeOffset.UtcNow;
            QuoteResponse quote;
            try
            {
                quote = PricingOracle.Quote(current.Catalog, request, now);
            }
            catch (QuoteRejectedException)
            {
                quote = new();
            }
            quote.QuoteId = $"{Guid.CreateVersion7()}";
            (quote.SnapshotVersion, quote.PricedAt) = (current.Version, Timestamp.FromDateTimeOffset(now));
            return Task.FromResult(quote);
        }

        public async ValueTask DisposeAsync() => await server!.DisposeAsync();
    }
}
