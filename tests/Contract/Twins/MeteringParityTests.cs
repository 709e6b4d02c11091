using System.Text;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Google.Protobuf;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Planes;
using Hybrid.Toolchain;
using Hybrid.Usage.V1;
using Timestamp = Google.Protobuf.WellKnownTypes.Timestamp;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>The product's metering and its twin in Go make the same of the same quotes: sums of windows, and dead letters.</summary>
public sealed class MeteringParityTests(BarePlanes planes, ITestOutputHelper output) : PlanesTest(planes, output)
{
    private const string Quotes = "hybrid.quotes.v1";
    private static readonly DateTimeOffset Noon = new(2026, 1, 15, 12, 0, 0, TimeSpan.Zero);

    protected override IReadOnlyList<string> Concerned => ["metering", "kafka"];

    [Fact]
    public async Task Windows_and_dead_letters_are_the_same()
    {
        Assert.SkipWhen(Planes.KafkaIsStandIn, "The twin needs Kafka: the stand-in keeps no offsets of transactions.");
        await SetUp.BuildTwinsAsync();
        var usage = UniqueName("usage");
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = Planes.KafkaBootstrap }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = usage, NumPartitions = 2 }]);
        await using var twin = await RunningTwin.StartAsync("metering", Programs.Go("metering"), (port, _, _) => new()
        {
            ["HTTP_PORT"] = $"{port}",
            ["ConnectionStrings__kafka"] = Planes.KafkaBootstrap,
            ["GROUP_ID"] = UniqueName("group"),
            ["USAGE_TOPIC"] = usage,
        });
        await twin.TestAsync(() => CompareAsync(EventReader.PartitionsOf(admin, Quotes).Count, usage));
    }

    private async Task CompareAsync(int partitions, string usage)
    {
        var (quotes, poison) = Produce(partitions);
        var expected = Sums(quotes.Select(OneWindow));
        foreach (var topic in (string[])["hybrid.usage.v1", usage])
        {
            var seen = await Eventually.BecomesAsync(
                $"all quotes in the windows of {topic}", () => Windows(topic), windows => windows.Sum(window => window.Quotes) >= quotes.Count, TimeSpan.FromSeconds(60));
            Assert.Equal(expected, Sums(seen));
        }
        var letters = await Eventually.BecomesAsync(
            "a dead letter of both for each poison", () => DeadLetters(poison), seen => seen.Count >= 2 * poison.Count, TimeSpan.FromSeconds(30));
        Assert.All(letters.GroupBy(letter => letter.Id), letter => Assert.Single(letter.Select(one => one.Reason).Distinct()));
        Assert.Equal(poison.SelectMany(id => (string[])[id, id]).Order(), letters.Select(letter => letter.Id).Order());
    }

    /// <summary>Quotes of several windows, in turn on all partitions, and poison among them.</summary>
    private (List<QuoteResponse> Quotes, List<string> Poison) Produce(int partitions)
    {
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = Planes.KafkaBootstrap }).Build();
        List<QuoteResponse> quotes = [];
        List<string> poison = [];
        for (var i = 0; i < 120; i++)
        {
            // Late and early ones too: a window is that of the quote's own time.
            var quote = Quote(Noon.AddSeconds(i * 7919 % 60), ["EUR", "USD"], i);
            var (id, value) = (quote.QuoteId, new QuotePriced { NodeId = "test", Quote = quote }.ToByteArray());
            var headers = Headers(id);
            if (i % 10 == 9)
            {
                poison.Add(id);
                (headers, value) = Spoiled(i / 10, headers, quote);
            }
            else
            {
                quotes.Add(quote);
            }
            var message = new Message<Null, byte[]> { Value = value, Headers = [.. headers.Select(h => new Header(h.Key, Encoding.UTF8.GetBytes(h.Value)))] };
            producer.Produce(new TopicPartition(Quotes, i % partitions), message);
        }
        producer.Flush(Cancellation);
        return (quotes, poison);
    }

    private QuoteResponse Quote(DateTimeOffset at, string[] currencies, int number)
    {
        var quote = new QuoteResponse
        {
            QuoteId = $"{Guid.CreateVersion7()}",
            PricedAt = Timestamp.FromDateTimeOffset(at),
            CurrencyCode = currencies[number % currencies.Length],
            Jurisdiction = Jurisdiction,
        };
        for (var i = 0; i <= number % 3; i++)
        {
            var (discount, net, tax) = (i * 10, 1_000 + number, 190);
            quote.Lines.Add(new PricedLine
            {
                Sku = $"sku-{(number + i) % 4}",
                Quantity = number + 1,
                DiscountMinor = discount,
                NetMinor = net,
                TaxMinor = tax,
                GrossMinor = net + tax,
                PromotionId = discount > 0 ? "promotion" : "",
                PromotionCreatedVersion = discount > 0 ? 1 + (number % 2) : 0,
            });
        }
        quote.DiscountMinor = quote.Lines.Sum(line => line.DiscountMinor);
        quote.NetMinor = quote.Lines.Sum(line => line.NetMinor);
        quote.TaxMinor = quote.Lines.Sum(line => line.TaxMinor);
        quote.GrossMinor = quote.Lines.Sum(line => line.GrossMinor);
        return quote;
    }

    private static Dictionary<string, string> Headers(string id) => new()
    {
        ["ce_specversion"] = "1.0",
        ["ce_id"] = id,
        ["ce_source"] = "/test",
        ["ce_type"] = "hybrid.pricing.quote.priced.v1",
        ["ce_time"] = "2026-01-15T12:00:00Z",
        ["content-type"] = "application/protobuf",
    };

    private static (Dictionary<string, string> Headers, byte[] Value) Spoiled(int how, Dictionary<string, string> headers, QuoteResponse quote)
    {
        var value = () => new QuotePriced { NodeId = "test", Quote = quote }.ToByteArray();
        switch (how)
        {
            case 0: headers["ce_specversion"] = "2.0"; break;
            case 1: headers["ce_type"] = "other"; break;
            case 2: headers.Remove("ce_source"); break;
            case 3: return (headers, [0xff]);
            case 4: return (headers, []);
            case 5: quote.PricedAt = null; break;
            case 6: quote.CurrencyCode = "EURO"; break;
            case 7: quote.Lines[0].Sku = ""; break;
            case 8: quote.Lines[0].TaxMinor = -1; break;
            case 9: quote.NetMinor++; break;
            case 10: (quote.Lines[0].NetMinor, quote.NetMinor) = (long.MaxValue, long.MinValue); quote.Lines.Add(new PricedLine { Sku = "a", NetMinor = 1 }); break;
            default: quote.Lines.Clear(); break;
        }
        return (headers, value());
    }

    private static UsageWindow OneWindow(QuoteResponse quote)
    {
        var start = quote.PricedAt.Seconds / 10 * 10;
        var window = new UsageWindow
        {
            WindowStart = new() { Seconds = start },
            WindowEnd = new() { Seconds = start + 10 },
            CurrencyCode = quote.CurrencyCode,
            Jurisdiction = quote.Jurisdiction,
            Quotes = 1,
        };
        window.Lines.Add(quote.Lines.Select(line => new UsageLine
        {
            Sku = line.Sku,
            PromotionId = line.PromotionId,
            PromotionCreatedVersion = line.PromotionCreatedVersion,
            Lines = 1,
            Quantity = line.Quantity,
            DiscountMinor = line.DiscountMinor,
            NetMinor = line.NetMinor,
            TaxMinor = line.TaxMinor,
            GrossMinor = line.GrossMinor,
        }));
        return window;
    }

    /// <summary>The sums of all parts of each window, as text, in order.</summary>
    private static List<string> Sums(IEnumerable<UsageWindow> windows)
    {
        var parts = windows.GroupBy(w => $"{w.WindowStart} to {w.WindowEnd}, {w.CurrencyCode}");
        return
        [
            .. parts.SelectMany(window => window.SelectMany(w => w.Lines).GroupBy(line => $"{line.Sku} {line.PromotionId} {line.PromotionCreatedVersion}").Select(lines =>
                $"{window.Key}: {window.Sum(w => w.Quotes)} quotes; {lines.Key}: {lines.Sum(l => l.Lines)} lines, {lines.Sum(l => l.Quantity)} pieces, "
                + $"{lines.Sum(l => l.DiscountMinor)} {lines.Sum(l => l.NetMinor)} {lines.Sum(l => l.TaxMinor)} {lines.Sum(l => l.GrossMinor)}")).Order(StringComparer.Ordinal),
        ];
    }

    /// <summary>This test's windows that a topic has now; none while there is no such topic.</summary>
    private List<UsageWindow> Windows(string topic)
    {
        try
        {
            return [.. EventReader.ReadAll(Planes.KafkaBootstrap, topic).Messages(UsageWindow.Parser).Select(w => w.Message).Where(w => w.Jurisdiction == Jurisdiction)];
        }
        catch (KafkaException e) when (Eventually.IsNotYet(e) || e.Error.Code is ErrorCode.UnknownTopicOrPart)
        {
            return [];
        }
    }

    /// <summary>The dead letters of these records, and the reason's code.</summary>
    private List<(string Id, string Reason)> DeadLetters(List<string> ids)
    {
        try
        {
            return
            [
                .. EventReader.ReadAll(Planes.KafkaBootstrap, Quotes + ".dead-letter").Where(record => ids.Contains(record.Headers.GetValueOrDefault("ce_id", "")))
                    .Select(record => (record.Headers["ce_id"], record.Headers["dead-letter-reason"] is var reason && reason.StartsWith("VALUE_INVALID", StringComparison.Ordinal) ? "VALUE_INVALID" : reason)),
            ];
        }
        catch (KafkaException e) when (Eventually.IsNotYet(e) || e.Error.Code is ErrorCode.UnknownTopicOrPart)
        {
            return [];
        }
    }
}
