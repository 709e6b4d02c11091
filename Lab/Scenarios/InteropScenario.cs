using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Grpc.Net.Client;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.PricingNative;
using Hybrid.Lab.Running;
using Hybrid.Pricing.V1;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Scenarios;

/// <summary>One quote of one line by each way that languages meet: in Rust itself, in the same process, over gRPC, over Kafka.</summary>
internal sealed class InteropScenario : IScenario
{
    private const int Repeats = 5;
    private const int KafkaCalls = 100;
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_790_000_000);

    public string Name => "interop";
    public string Question => "What does one call across the language border cost, and what happens when the callee panics or hangs?";
    public LabPrograms Needs => LabPrograms.Interop;

    public TimeSpan Estimate(Effort effort) => effort.Rounds * (TimeSpan.FromSeconds(2.5) + (Repeats * effort.Calls * TimeSpan.FromTicks(5)));

    public async Task<IReadOnlyList<Measurement>> RunAsync(Bench bench)
    {
        PricingLibrary.File = Programs.Rust("libhybrid_pricing" + (OperatingSystem.IsMacOS() ? ".dylib" : ".so"));
        await bench.Stores.StartAsync(bench.CancellationToken);
        await using var node = await Server.StartAsync(LabTwins.DataPlane(bench.Stores), QuoteScenario.IsAnsweredAsync, bench.CancellationToken);
        using var snapshot = Stock();
        await using var kafka = bench.Stores.KafkaIsStandIn ? null : await KafkaCall.StartAsync(bench.Stores.Kafka, snapshot);
        var measurements = new List<Measurement>();
        for (var round = 1; round <= bench.Effort.Rounds; round++)
        {
            bench.Say($"round {round} of {bench.Effort.Rounds}");
            var (native, border) = await InRustAsync(bench);
            Add("native Rust", native, null);
            Add("C interface from Rust", border, null);
            var (nanos, allocated) = InDotNet(snapshot, bench.Effort.Calls);
            Add(".NET, same process", nanos, allocated);
            (nanos, allocated) = await InGoAsync(bench);
            Add("Go, same process", nanos, allocated);
            (nanos, allocated) = await OverGrpcAsync(node, bench.Effort.Calls / 200);
            Add(".NET, gRPC on loopback", nanos, allocated);
            if (kafka is not null)
            {
                (nanos, allocated) = kafka.Measure(KafkaCalls);
                Add(".NET, Kafka and back", nanos, allocated);
            }

            void Add(string variant, double callNanos, double? bytes)
            {
                var values = new Dictionary<string, double> { [Metric.CallNanos] = callNanos };
                if (bytes is { } value)
                    values[Metric.Allocated] = value;
                measurements.Add(new Measurement(Name, variant, round, values));
            }
        }
        measurements[^1] = measurements[^1] with { Note = Failures() };
        return measurements;
    }

    private static PricingSnapshot Stock()
    {
        using var catalog = new PricingCatalog();
        catalog.Put(Stores.Sku, "EUR", 1_999);
        catalog.PutTaxRule(Stores.Jurisdiction, "standard", 190_000);
        catalog.Put(new PromotionTerms("lab", "EUR", 1_000_000_000_000) { PercentOffPpm = 100_000, Skus = [Stores.Sku] });
        return catalog.Finish(1);
    }

    private static async Task<(double Native, double Border)> InRustAsync(Bench bench)
    {
        var result = await JsonAsync(Programs.Rust("native-pricing"), bench);
        return ((double)result["nativeNanos"]!, (double)result["borderNanos"]!);
    }

    private static async Task<(double Nanos, double Allocated)> InGoAsync(Bench bench)
    {
        var result = await JsonAsync(Programs.Go("measure"), bench);
        return ((double)result["nanos"]!, (double)result["allocated"]!);
    }

    private static async Task<JsonNode> JsonAsync(string program, Bench bench)
    {
        var command = Cores.Server(program, bench.Effort.Calls.ToString(CultureInfo.InvariantCulture));
        var run = await Subprocess.RunAsync(command[0], command[1..], cancellationToken: bench.CancellationToken);
        return run.Succeeded ? JsonNode.Parse(run.Output)! : throw new LabException($"{program} failed:\n{run.Tail()}");
    }

    /// <summary>The shortest of a few runs, because everything else on a machine can only add to it.</summary>
    private static (double Nanos, double Allocated) InDotNet(PricingSnapshot snapshot, int calls)
    {
        using var basket = new Basket("EUR", Stores.Jurisdiction, [(Stores.Sku, 3)]);
        Span<QuotedLine> lines = stackalloc QuotedLine[1];
        var (best, before) = (double.PositiveInfinity, GC.GetAllocatedBytesForCurrentThread());
        for (var run = 0; run < Repeats; run++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < calls; i++)
                snapshot.Quote(basket, Now, lines);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds / calls);
        }
        return (best, (GC.GetAllocatedBytesForCurrentThread() - before) / (double)(calls * Repeats));
    }

    private static async Task<(double Nanos, double Allocated)> OverGrpcAsync(Server node, int calls)
    {
        using var channel = GrpcChannel.ForAddress(node.Address);
        var (client, request) = (new PricingService.PricingServiceClient(channel), QuoteScenario.Basket());
        for (var i = 0; i < calls / 4; i++)
            await client.QuoteAsync(request);
        var (start, before) = (Stopwatch.GetTimestamp(), GC.GetTotalAllocatedBytes());
        for (var i = 0; i < calls; i++)
            await client.QuoteAsync(request);
        return (Stopwatch.GetElapsedTime(start).TotalNanoseconds / calls, (GC.GetTotalAllocatedBytes() - before) / (double)calls);
    }

    /// <summary>What a caller in the same process sees of a panic and of a hang, tried out.</summary>
    private static string Failures()
    {
        var panic = "nothing";
        try
        {
            PricingLibrary.Panic();
        }
        catch (PricingException e)
        {
            panic = $"{nameof(PricingException)} with {e.Reason}";
        }
        using var deadline = new CancellationTokenSource(TimeSpan.FromMilliseconds(20));
        var clock = Stopwatch.StartNew();
        PricingLibrary.Hang(TimeSpan.FromMilliseconds(200));
        return $"A panic of the library was seen by its .NET caller as {panic}, and the process went on. A hang of 200 ms under a token that was cancelled after "
            + $"20 ms held its thread for {clock.ElapsedMilliseconds} ms: in the same process nothing ends a call but the callee. Over gRPC the deadline ends it for "
            + "the caller, and a crash of the callee is UNAVAILABLE; over Kafka neither is noticed but by the age of the answer.";
    }
}
