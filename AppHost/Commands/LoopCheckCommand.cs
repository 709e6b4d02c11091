using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Hybrid.AppHost.Commands;

/// <summary>
/// The command <em>Check the loop</em> of the control plane. One round, as a shop would drive it: an item, a tax rule and a promotion
/// go in at the control plane, every data plane prices them, and what was priced comes back in the ledger to the cent.
/// </summary>
internal static class LoopCheckCommand
{
    public const string Name = "check-loop";

    private const int QuotesPerNode = 50;
    private const int Quantity = 3;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Adds the command. It prices on each of <paramref name="dataPlanes"/>, and looks for the quotes in this control plane's ledger.</summary>
    public static IResourceBuilder<T> WithLoopCheckCommand<T>(this IResourceBuilder<T> controlPlane, IReadOnlyList<IResourceBuilder<IResourceWithEndpoints>> dataPlanes)
        where T : class, IResourceWithEndpoints =>
        controlPlane.WithCommand(Name, "Check the loop", async context =>
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
            deadline.CancelAfter(Patience * 2);
            try
            {
                return CommandResults.Success(await RunAsync(
                    controlPlane.GetEndpoint("http").Url, [.. dataPlanes.Select(node => (node.Resource.Name, node.GetEndpoint("http").Url))], deadline.Token));
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException && !context.CancellationToken.IsCancellationRequested)
            {
                return CommandResults.Failure(e.Message);
            }
        }, new CommandOptions
        {
            Description = "Creates an item, prices it on every node and waits until the ledger has each quote to the cent.",
            IconName = "CheckmarkCircle",
            IsHighlighted = true,
        });

    /// <returns>What was done, for people.</returns>
    /// <exception cref="HttpRequestException">The loop did not close; the message says where.</exception>
    private static async Task<string> RunAsync(string controlPlane, IReadOnlyList<(string Name, string Url)> dataPlanes, CancellationToken cancellationToken)
    {
        // A jurisdiction of its own keeps this round's sums apart from everything else in the ledger.
        var jurisdiction = "CHECK-" + Guid.NewGuid().ToString("N")[..8].ToUpperInvariant();
        var sku = "check-" + Guid.NewGuid().ToString("N")[..12];
        using var shop = new Shop(controlPlane, sku, jurisdiction);
        await shop.StockAsync("Check", 1999, cancellationToken);
        var budget = new { currencyCode = Shop.Currency, minorUnits = 1_000_000_000 };
        await shop.CreateAsync("/v1/promotions", new { promotionId = sku, name = "Check", percentOffPpm = 100_000, skus = new[] { sku }, budget }, cancellationToken);

        // What is priced before the promotion shows counts too.
        List<JsonNode> quotes = [];
        foreach (var node in dataPlanes)
            quotes.AddRange(await shop.QuoteUntilAsync(node, Quantity, quote => (string?)quote["lines"]?[0]?["promotionId"] == sku, cancellationToken));
        foreach (var node in dataPlanes)
        {
            for (var i = 0; i < QuotesPerNode; i++)
                quotes.Add(await shop.QuoteAsync(node.Url, Quantity, cancellationToken) ?? throw new HttpRequestException($"{node.Name} no longer prices {sku}."));
        }

        var expected = (Quotes: (long)quotes.Count, Gross: quotes.Sum(quote => Amount(quote, "grossMinor")));
        var clock = Stopwatch.StartNew();
        while (true)
        {
            var mine = await TotalAsync(shop.Http, controlPlane, jurisdiction, cancellationToken);
            var booked = (Quotes: Amount(mine, "quotes"), Gross: Amount(mine, "grossMinor"));
            if (booked == expected)
                return $"{booked.Quotes} quotes on {dataPlanes.Count} nodes, {booked.Gross} {Shop.Currency} minor units, all in the ledger {clock.ElapsedMilliseconds} ms after the last.";
            if (booked.Quotes > expected.Quotes || clock.Elapsed > Patience)
                throw new HttpRequestException($"the ledger has {booked.Quotes} quotes with {booked.Gross} minor units, expected {expected.Quotes} with {expected.Gross}.");
            await Task.Delay(TimeSpan.FromMilliseconds(50), cancellationToken);
        }
    }

    /// <summary>The total of a jurisdiction, on whichever page it is, or null while there is none.</summary>
    private static async Task<JsonNode?> TotalAsync(HttpClient http, string controlPlane, string jurisdiction, CancellationToken cancellationToken)
    {
        var token = "";
        do
        {
            var page = await http.GetFromJsonAsync<JsonNode>($"{controlPlane}/v1/ledger/totals?pageToken={token}", cancellationToken);
            if (page?["totals"]?.AsArray().FirstOrDefault(total => (string?)total?["jurisdiction"] == jurisdiction) is { } mine)
                return mine;
            token = (string?)page?["nextPageToken"] ?? "";
        }
        while (token != "");
        return null;
    }

    /// <summary>An int64 of protobuf JSON: a string, left out when it is zero.</summary>
    private static long Amount(JsonNode? node, string name) => long.Parse((string?)node?[name] ?? "0", CultureInfo.InvariantCulture);
}
