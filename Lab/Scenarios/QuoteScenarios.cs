using Grpc.Net.Client;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;
using Hybrid.Pricing.V1;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Scenarios;

/// <summary>The quote in both languages, over gRPC, with its event to Kafka.</summary>
internal abstract class QuoteScenario : LoadScenario
{
    /// <summary>The quote that everybody is asked for.</summary>
    public static QuoteRequest Basket() =>
        new() { CurrencyCode = "EUR", Jurisdiction = Stores.Jurisdiction, Lines = { new QuoteLine { Sku = Stores.Sku, Quantity = 3 } } };

    /// <summary>The same for the load generator.</summary>
    public static IReadOnlyList<string> Quote { get; } = ["--currency", "EUR", "--jurisdiction", Stores.Jurisdiction, "--line", $"{Stores.Sku}=3"];

    public override LabPrograms Needs => LabPrograms.Pricing;
    protected override int TwinCount => 4;
    protected override bool NeedsStores => true;

    protected override IEnumerable<Twin> Twins(Stores stores) =>
        [LabTwins.DataPlane(stores), LabTwins.RustPricing(stores), LabTwins.GoPricing(stores), LabTwins.GoPricing(stores).With("Go, GOGC=400", ("GOGC", "400"))];

    protected override Task<bool> AnswersAsync(Server server) => IsAnsweredAsync(server);

    /// <summary>Whether a server prices a quote.</summary>
    public static async Task<bool> IsAnsweredAsync(Server server)
    {
        using var channel = GrpcChannel.ForAddress(server.Address);
        await new PricingService.PricingServiceClient(channel).QuoteAsync(Basket(), deadline: DateTime.UtcNow.AddSeconds(1));
        return true;
    }
}

/// <summary>As many quotes as a server answers, beside a bare HTTP/2 server in C where there is one.</summary>
internal sealed class QuoteCpuScenario : QuoteScenario
{
    private static readonly bool HasBare = Subprocess.Find("nghttpd") is not null && H2load.IsHere;

    public override string Name => "quote-cpu";
    public override string Question => "How much processor does a quote take, with its event to Kafka?";
    protected override int TwinCount => HasBare ? 5 : 4;

    protected override IEnumerable<Twin> Twins(Stores stores) =>
        HasBare ? [BareServer.Twin(stores.FolderFor(BareServer.Name)), .. base.Twins(stores)] : base.Twins(stores);

    protected override Task<bool> AnswersAsync(Server server) =>
        server.Name == BareServer.Name ? BareServer.AnswersAsync(server) : base.AnswersAsync(server);

    protected override Task<Measurement> MeasureAsync(Bench bench, int round, Server server) => HasBare
        ? BareServer.MeasureAsync(Name, bench, round, server)
        : Load.RunAsync(Name, round, server, bench.Effort, [.. Quote, "--closed", "--connections", "8", "--in-flight", "16"], bench.CancellationToken);
}

/// <summary>Quotes at the rate that the article names.</summary>
internal sealed class QuoteRateScenario : QuoteScenario
{
    private const int Rate = 15_000;

    public override string Name => "quote-15000";
    public override string Question => $"How long do quotes take at {Rate:N0} a second, and in how much memory?";

    protected override Task<Measurement> MeasureAsync(Bench bench, int round, Server server) =>
        Load.RunAsync(Name, round, server, bench.Effort, [.. Quote, "--rate", $"{Rate}", "--connections", "16"], bench.CancellationToken);
}
