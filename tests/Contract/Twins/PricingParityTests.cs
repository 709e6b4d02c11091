using System.Net;
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
        Assert.SkipWhen(name == "Go" && Planes.KafkaIsStandIn, "The Go twin needs Kafka: sarama's idempotent producer asks for more than the stand-in has.");
        await SetUp.BuildTwinsAsync();
        await using var control = new ScriptedControlPlane();
        await control.StartAsync();
        var node = $"twin-{name}";
        await using var twin = await RunningTwin.StartAsync(name, Program(name), (port, other, state) => new()
        {
            ["NODE_ID"] = node,
            ["GRPC_PORT"] = $"{port}",
            ["HTTP_PORT"] = $"{other}",
            ["STATE_DIR"] = state,
            ["CONTROL_PLANE_GRPC"] = $"{control.Address}",
            ["ConnectionStrings__kafka"] = Planes.KafkaBootstrap,
        });
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
        var events = EventReader.ReadAll(Planes.KafkaBootstrap, "hybrid.quotes.v1").Messages(QuotePriced.Parser)
            .Where(e => e.Message.NodeId == node).ToLookup(e => e.Message.Quote.QuoteId);
        List<string> wrong = [];
        foreach (var (quote, traceId) in cases.Answered)
        {
            var own = events[quote.QuoteId].ToList();
            if (own.Count != 1)
            {
                wrong.Add($"{quote.QuoteId} has {own.Count} events");
                continue;
            }
            var (record, message) = own[0];
            var headers = record.Headers;
            var right = message.Quote.Equals(quote) && headers["ce_specversion"] == "1.0" && headers["ce_id"] == quote.QuoteId && headers["ce_source"].Length > 0
                && headers["ce_type"] == "hybrid.pricing.quote.priced.v1" && headers["content-type"] == "application/protobuf"
                && JsonParser.Default.Parse<Timestamp>($"\"{headers["ce_time"]}\"").Equals(quote.PricedAt)
                && headers["traceparent"].StartsWith($"00-{traceId}-", StringComparison.Ordinal) && headers["tracestate"] == "test=1"
                && System.Text.Encoding.UTF8.GetString(record.Key ?? []) == quote.QuoteId;
            if (!right)
                wrong.Add($"{quote.QuoteId}: {message} {string.Join(' ', headers)}");
        }
        return wrong;
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
