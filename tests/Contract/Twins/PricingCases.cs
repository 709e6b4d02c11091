using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CsCheck;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Grpc.Net.Client;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>What every pricing twin is asked, and what it must answer.</summary>
/// <param name="offer">Gives the node a catalog, and returns its version.</param>
internal sealed partial class PricingCases(string twin, GrpcChannel channel, Func<OracleCatalog, Task<long>> offer, Differences differences)
{
    private const int RandomBaskets = 200;
    private readonly PricingService.PricingServiceClient client = new(channel);

    /// <summary>The quotes that were answered, with the trace id that each was asked with.</summary>
    public List<(QuoteResponse Quote, string TraceId)> Answered { get; } = [];

    /// <summary>Asks everything.</summary>
    /// <returns>What is wrong with the answers; nothing where all is right.</returns>
    public async Task<List<string>> FailuresAsync()
    {
        List<string> failures = [];
        foreach (var (name, vector) in GoldenVectors())
        {
            var (catalog, request, now) = AsOfNow(vector);
            var version = await offer(catalog);
            Compare(failures, name, Expect(catalog, request, now), await AskAsync(request, version));
        }
        await CompareRandomBasketsAsync(failures);
        foreach (var (name, got, expected) in await BordersAsync())
        {
            if (got != differences.Expected(twin, name, expected))
                failures.Add($"{name}: {got}");
        }
        return failures;
    }

    /// <summary>What a quote is answered with, as text: the amounts, or the error with its details.</summary>
    public async Task<string> AskAsync(QuoteRequest request, long version)
    {
        var traceId = Guid.NewGuid().ToString("N");
        var headers = new Metadata { { "traceparent", $"00-{traceId}-00f067aa0ba902b7-00" }, { "tracestate", "test=1" } };
        QuoteResponse quote;
        try
        {
            quote = await client.QuoteAsync(request, headers, DateTime.UtcNow.AddSeconds(10), TestContext.Current.CancellationToken);
        }
        catch (RpcException e)
        {
            return Describe(e);
        }
        lock (Answered)
            Answered.Add((quote, traceId));
        var age = DateTimeOffset.UtcNow - quote.PricedAt.ToDateTimeOffset();
        if (!UuidV7().IsMatch(quote.QuoteId) || quote.SnapshotVersion != version || age < TimeSpan.FromSeconds(-1) || age > TimeSpan.FromMinutes(1))
            return $"quote {quote.QuoteId} of version {quote.SnapshotVersion}, priced at {quote.PricedAt}";
        return Amounts(quote);
    }

    /// <summary>The first text, and one of the others once in a while.</summary>
    private static Gen<string> Mostly(params string[] texts) => Gen.Int[0, texts.Length * 6].Select(i => texts[i < texts.Length ? i : 0]);

    private static void Compare(List<string> failures, string name, string expected, string got)
    {
        if (got != expected)
            failures.Add($"{name}: {got}, not {expected}");
    }

    private static string Expect(OracleCatalog catalog, QuoteRequest request, DateTimeOffset now)
    {
        try
        {
            return Amounts(PricingOracle.Quote(catalog, request, now));
        }
        catch (QuoteRejectedException e)
        {
            return $"{e.Code} {e.Reason} hybrid.pricing [{e.Field}]";
        }
    }

    private static string Amounts(QuoteResponse quote)
    {
        var amounts = new QuoteResponse(quote) { QuoteId = "", SnapshotVersion = 0, PricedAt = null };
        return amounts.ToString();
    }

    private static string Describe(RpcException e)
    {
        var status = e.GetRpcStatus();
        var info = status?.GetDetail<ErrorInfo>();
        var fields = status?.GetDetail<BadRequest>()?.FieldViolations.Select(violation => violation.Field) ?? [];
        return info is null ? $"{e.StatusCode}" : $"{e.StatusCode} {info.Reason} {info.Domain} [{string.Join(' ', fields)}]";
    }

    private static IEnumerable<(string Name, JsonNode Vector)> GoldenVectors() =>
        Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "testdata/pricing"), "*.json").Order(StringComparer.Ordinal)
            .SelectMany(file => JsonNode.Parse(File.ReadAllText(file))!["cases"]!.AsArray().Select(v => ($"{Path.GetFileNameWithoutExtension(file)}: {v!["name"]}", v!)));

    /// <summary>A vector's catalog and request, with its times moved to now: what is to come by its clock is still to come when it is asked.</summary>
    private static (OracleCatalog Catalog, QuoteRequest Request, DateTimeOffset Now) AsOfNow(JsonNode vector)
    {
        List<T> Read<T>(string kind) where T : IMessage<T>, new() =>
            [.. (vector["catalog"]![kind]?.AsArray() ?? []).Select(node => JsonParser.Default.Parse<T>(node!.ToJsonString()))];

        var (then, now) = (DateTimeOffset.Parse((string)vector["now"]!, CultureInfo.InvariantCulture), DateTimeOffset.UtcNow);
        Timestamp? Moved(Timestamp? bound) => bound?.ToDateTimeOffset() is not { } at ? null
            : Timestamp.FromDateTimeOffset(now + (at - then) + (at > then ? TimeSpan.FromHours(1) : TimeSpan.Zero));
        var promotions = Read<Promotion>("promotions");
        foreach (var promotion in promotions)
            (promotion.StartsAt, promotion.EndsAt) = (Moved(promotion.StartsAt), Moved(promotion.EndsAt));
        return (new(Read<Item>("items"), Read<TaxRule>("taxRules"), promotions), QuoteRequest.Parser.ParseJson(vector["request"]!.ToJsonString()), now);
    }

    private async Task CompareRandomBasketsAsync(List<string> failures)
    {
        var prices = (long[])[0, 1, 3, 99, 1_999, 1_000_000_007, 1_000_000_000_000];
        var items = prices.Select((price, i) => new Item { Sku = $"s{i}", UnitPrice = new() { CurrencyCode = "EUR", MinorUnits = price }, TaxCategory = i % 3 == 0 ? "reduced" : "" });
        TaxRule[] rules = [new() { Jurisdiction = "DE", RatePpm = 190_000 }, new() { Jurisdiction = "DE", Category = "reduced", RatePpm = 70_001 }];
        Promotion[] promotions =
        [
            new() { PercentOffPpm = 333_333, MinQuantity = 2, CreatedVersion = 3 }, new() { PercentOffPpm = 500_000, MinQuantity = 10, Skus = { "s1", "s4" } },
            new() { AmountOffMinor = 7, Coupon = "SAVE", Skus = { "s3" } }, new() { AmountOffMinor = 7, Coupon = "SAVE" }, new() { PercentOffPpm = 1_000_000, Exhausted = true },
        ];
        for (var i = 0; i < promotions.Length; i++)
            (promotions[i].PromotionId, promotions[i].Budget) = ($"p{i}", new() { CurrencyCode = "EUR", MinorUnits = 1 });
        var catalog = new OracleCatalog([.. items], rules, promotions);
        var version = await offer(catalog);

        var lines = Gen.Select(Gen.Int[0, prices.Length * 12], Gen.Long[0, 1_000_000]).Array[0, 12];
        var basket = Gen.Select(lines, Mostly("DE", "FR", "de"), Mostly("EUR", "USD"), Mostly("SAVE", "", "OTHER", "a b"))
            .Select((chosen, jurisdiction, currency, coupon) =>
            {
                var request = new QuoteRequest { CurrencyCode = currency, Jurisdiction = jurisdiction };
                // The last number is no sku of the catalog.
                request.Lines.Add(chosen.Select(line => new QuoteLine { Sku = $"s{(line.Item1 == prices.Length * 12 ? 99 : line.Item1 % prices.Length)}", Quantity = line.Item2 }));
                if (coupon.Length > 0)
                    request.Coupons.Add(coupon);
                return request;
            });
        var shuffled = new List<QuoteRequest>();
        basket.Sample(shuffled.Add, iter: RandomBaskets, threads: 1);
        foreach (var request in shuffled)
            Compare(failures, $"random {request}", Expect(catalog, request, DateTimeOffset.UtcNow), await AskAsync(request, version));
    }

    private async Task<List<(string Name, string Got, string Expected)>> BordersAsync()
    {
        var bytes = Marshallers.Create<byte[]>(data => data, data => data);
        async Task<string> CallAsync(string method, byte[] message)
        {
            using var call = channel.CreateCallInvoker().AsyncUnaryCall(
                new Method<byte[], byte[]>(MethodType.Unary, "hybrid.pricing.v1.PricingService", method, bytes, bytes), null,
                new CallOptions(deadline: DateTime.UtcNow.AddSeconds(10)), message);
            try
            {
                await call;
                return "OK";
            }
            catch (RpcException e)
            {
                return $"{e.StatusCode}";
            }
        }

        using var stream = client.QuoteStream(deadline: DateTime.UtcNow.AddSeconds(10), cancellationToken: TestContext.Current.CancellationToken);
        string streamed;
        try
        {
            await stream.RequestStream.CompleteAsync();
            streamed = await stream.ResponseStream.MoveNext(TestContext.Current.CancellationToken) ? "an answer" : "OK";
        }
        catch (RpcException e)
        {
            streamed = $"{e.StatusCode}";
        }
        return
        [
            ("a message that cannot be decoded", await CallAsync("Quote", [0xff, 0xff]), "Internal"),
            ("a message of more than 1 MiB", await CallAsync("Quote", [0x0a, 0x80, 0x80, 0x80, 0x01, .. new byte[2 << 20]]), "ResourceExhausted"),
            ("an unknown method", await CallAsync("Other", []), "Unimplemented"),
            ("a stream of quotes", streamed, "OK"),
        ];
    }

    [GeneratedRegex("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
    private static partial Regex UuidV7();
}
