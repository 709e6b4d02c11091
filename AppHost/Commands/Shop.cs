using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Hybrid.AppHost.Commands;

/// <summary>A shop with one article, which knows only JSON over HTTP.</summary>
/// <param name="controlPlane">URL of the control plane's REST API.</param>
internal sealed class Shop(string controlPlane, string sku, string jurisdiction) : IDisposable
{
    public const string Currency = "EUR";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public HttpClient Http { get; } = new() { Timeout = Patience };

    /// <summary>Creates the article and its tax rule; those of an earlier call are as good.</summary>
    public async Task StockAsync(string name, long price, CancellationToken cancellationToken)
    {
        await CreateAsync("/v1/tax-rules", new { jurisdiction, category = "standard", ratePpm = 190_000 }, cancellationToken);
        await CreateAsync("/v1/items", new { sku, name, unitPrice = new { currencyCode = Currency, minorUnits = price } }, cancellationToken);
    }

    /// <summary>Posts to the control plane, where something like it may exist already.</summary>
    /// <exception cref="HttpRequestException">The control plane refused it; the message says why.</exception>
    public async Task CreateAsync(string path, object body, CancellationToken cancellationToken)
    {
        using var response = await Http.PostAsJsonAsync(controlPlane + path, body, cancellationToken);
        if (!response.IsSuccessStatusCode && response.StatusCode != HttpStatusCode.Conflict)
            throw new HttpRequestException($"POST {path} answered {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync(cancellationToken)}");
    }

    /// <returns>The quote of a data plane, or null while it cannot price the article.</returns>
    public async Task<JsonNode?> QuoteAsync(string dataPlane, int quantity, CancellationToken cancellationToken)
    {
        using var response = await Http.PostAsJsonAsync(
            dataPlane + "/v1/quotes", new { currencyCode = Currency, jurisdiction, lines = new[] { new { sku, quantity } } }, cancellationToken);
        return response.IsSuccessStatusCode ? await response.Content.ReadFromJsonAsync<JsonNode>(cancellationToken) : null;
    }

    /// <summary>Quotes until the answer fits.</summary>
    /// <returns>Every quote on the way, the fitting one last.</returns>
    /// <exception cref="HttpRequestException">It does not fit in time.</exception>
    public async Task<IReadOnlyList<JsonNode>> QuoteUntilAsync(
        (string Name, string Url) dataPlane, int quantity, Func<JsonNode, bool> fits, CancellationToken cancellationToken)
    {
        List<JsonNode> quotes = [];
        var end = DateTime.UtcNow + Patience;
        while (quotes.Count == 0 || !fits(quotes[^1]))
        {
            if (DateTime.UtcNow > end)
                throw new HttpRequestException($"{dataPlane.Name} does not price what the control plane has after {Patience.TotalSeconds:0} s. Look at its snapshot.");
            if (await QuoteAsync(dataPlane.Url, quantity, cancellationToken) is { } quote)
                quotes.Add(quote);
            await Task.Delay(TimeSpan.FromMilliseconds(50), cancellationToken);
        }
        return quotes;
    }

    public void Dispose() => Http.Dispose();
}
