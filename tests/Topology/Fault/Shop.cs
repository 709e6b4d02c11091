using System.Net.Http.Json;

namespace Hybrid.Tests.Topology.Fault;

/// <summary>A shop that uses only JSON, as curl would: one item, one tax rule, and quotes for it.</summary>
internal sealed class Shop(DistributedApplication app, string jurisdiction)
{
    private const string Sku = "restart-mug";

    public async Task StockAsync(CancellationToken cancellation)
    {
        using var control = app.CreateHttpClient("control-plane", "http");
        await PostAsync(control, "/v1/tax-rules", new { jurisdiction, category = "standard", ratePpm = 190_000 }, cancellation);
        await PostAsync(control, "/v1/items", new { sku = Sku, name = "Mug", unitPrice = new { currencyCode = "EUR", minorUnits = 1_050 } }, cancellation);
    }

    /// <summary>Exactly that many quotes are answered; while the item has not arrived yet, none is.</summary>
    public async Task BuyAsync(int quotes, CancellationToken cancellation)
    {
        using var node = app.CreateHttpClient("data-plane-1", "http");
        for (var i = 0; i < quotes; i++)
        {
            await Eventually.AnswersAsync("a quote", async () =>
            {
                await PostAsync(node, "/v1/quotes", new { currencyCode = "EUR", jurisdiction, lines = new[] { new { sku = Sku, quantity = 2 } } }, cancellation);
                return true;
            });
        }
    }

    private static async Task PostAsync(HttpClient client, string path, object body, CancellationToken cancellation)
    {
        using var response = await client.PostAsJsonAsync(path, body, cancellation);
        if (!response.IsSuccessStatusCode)
            throw new HttpRequestException($"{path}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync(cancellation)}", null, response.StatusCode);
    }
}
