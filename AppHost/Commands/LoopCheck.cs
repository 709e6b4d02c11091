using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Hybrid.AppHost.Commands;

/// <summary>
/// One round of the loop, as a shop would drive it: an item, a tax rule and a promotion go in at the control plane, every data
/// plane prices them, and what was priced comes back in the ledger to the cent.
/// </summary>
/// <param name="controlPlane">URL of its REST API.</param>
/// <param name="dataPlanes">Name and URL of each node.</param>
internal sealed class LoopCheck(string controlPlane, IReadOnlyList<(string Name, string Url)> dataPlanes) : IDisposable
{
    private const int QuotesPerNode = 50;
    private const string Currency = "EUR";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    private readonly HttpClient http = new() { Timeout = Patience };

    // A jurisdiction of its own keeps this round's sums apart from everything else in the ledger.
    private readonly string jurisdiction = "CHECK-" + Guid.NewGuid().ToString("N")[..8].ToUpperInvariant();
    private readonly string sku = "check-" + Guid.NewGuid().ToString("N")[..12];

    /// <returns>What was done, for people.</returns>
    /// <exception cref="LoopCheckException">The loop did not close; the message says where.</exception>
    public async Task<string> RunAsync(CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Patience * 2);
        try
        {
            await CreateCatalogAsync(deadline.Token);
            var seen = await WaitForPricesAsync(deadline.Token);
            var gross = await QuoteAsync(deadline.Token);
            return await WaitForLedgerAsync(seen.Quotes + (QuotesPerNode * dataPlanes.Count), seen.Gross + gross, deadline.Token);
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            throw new LoopCheckException(e.Message, e);
        }
    }

    public void Dispose() => http.Dispose();

    private async Task CreateCatalogAsync(CancellationToken cancellationToken)
    {
        await PostAsync("/v1/tax-rules", new { jurisdiction, category = "standard", ratePpm = 190_000 }, cancellationToken);
        await PostAsync("/v1/items", new { sku, name = "Check", unitPrice = new { currencyCode = Currency, minorUnits = 1999 } }, cancellationToken);
        await PostAsync(
            "/v1/promotions",
            new { promotionId = sku, name = "Check", percentOffPpm = 100_000, skus = new[] { sku }, budget = new { currencyCode = Currency, minorUnits = 1_000_000_000 } },
            cancellationToken);
    }

    private async Task PostAsync(string path, object body, CancellationToken cancellationToken)
    {
        using var response = await http.PostAsJsonAsync(controlPlane + path, body, cancellationToken);
        if (!response.IsSuccessStatusCode)
            throw new LoopCheckException($"POST {path} answered {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync(cancellationToken)}");
    }

    /// <summary>Quotes on each node until the promotion shows. What was priced on the way counts too.</summary>
    private async Task<(long Quotes, long Gross)> WaitForPricesAsync(CancellationToken cancellationToken)
    {
        long quotes = 0, gross = 0;
        foreach (var node in dataPlanes)
        {
            var clock = Stopwatch.StartNew();
            while (true)
            {
                if (await TryQuoteAsync(node, cancellationToken) is { } quote)
                {
                    quotes++;
                    gross += Amount(quote, "grossMinor");
                    if ((string?)quote["lines"]?[0]?["promotionId"] == sku)
                        break;
                }
                if (clock.Elapsed > Patience)
                    throw new LoopCheckException($"{node.Name} does not price the new promotion after {Patience.TotalSeconds:0} s.");
                await Task.Delay(Pause, cancellationToken);
            }
        }
        return (quotes, gross);
    }

    private async Task<long> QuoteAsync(CancellationToken cancellationToken)
    {
        long gross = 0;
        foreach (var node in dataPlanes)
        {
            for (var i = 0; i < QuotesPerNode; i++)
            {
                var quote = await TryQuoteAsync(node, cancellationToken) ?? throw new LoopCheckException($"{node.Name} no longer prices {sku}.");
                gross += Amount(quote, "grossMinor");
            }
        }
        return gross;
    }

    private async Task<JsonNode?> TryQuoteAsync((string Name, string Url) node, CancellationToken cancellationToken)
    {
        using var response = await http.PostAsJsonAsync(
            node.Url + "/v1/quotes", new { currencyCode = Currency, jurisdiction, lines = new[] { new { sku, quantity = 3 } } }, cancellationToken);
        return response.IsSuccessStatusCode ? await response.Content.ReadFromJsonAsync<JsonNode>(cancellationToken) : null;
    }

    private async Task<string> WaitForLedgerAsync(long quotes, long gross, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            var totals = await http.GetFromJsonAsync<JsonNode>(controlPlane + "/v1/ledger/totals", cancellationToken);
            var mine = totals?["totals"]?.AsArray().FirstOrDefault(t => (string?)t?["jurisdiction"] == jurisdiction);
            var booked = mine is null ? (Quotes: 0L, Gross: 0L) : (Quotes: Amount(mine, "quotes"), Gross: Amount(mine, "grossMinor"));
            if (booked == (quotes, gross))
                return $"{quotes} quotes on {dataPlanes.Count} nodes, {gross} {Currency} minor units, all in the ledger {clock.ElapsedMilliseconds} ms after the last.";
            if (booked.Quotes > quotes || clock.Elapsed > Patience)
                throw new LoopCheckException($"the ledger has {booked.Quotes} quotes with {booked.Gross} minor units, expected {quotes} with {gross}.");
            await Task.Delay(Pause, cancellationToken);
        }
    }

    /// <summary>An int64 of protobuf JSON: a string, left out when it is zero.</summary>
    private static long Amount(JsonNode node, string name) => long.Parse((string?)node[name] ?? "0", CultureInfo.InvariantCulture);
}

/// <summary>The loop did not close. The message says where.</summary>
internal sealed class LoopCheckException(string message, Exception? inner = null) : Exception(message, inner);
