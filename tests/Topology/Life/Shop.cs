using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Hybrid.Usage.V1;
using Npgsql;

namespace Hybrid.Tests.Topology.Life;

/// <summary>A shop that knows only <c>endpoints.json</c> and JSON over HTTP.</summary>
internal sealed class Shop(JsonNode endpoints, string jurisdiction)
{
    public const string Sku = "life-mug";
    public const string Currency = "EUR";
    private static readonly HttpClient Http = new();

    /// <summary>gRPC addresses of the data planes.</summary>
    public IReadOnlyList<Uri> Nodes { get; } = [new(Url(endpoints, "data-plane-1", "grpc")), new(Url(endpoints, "data-plane-2", "grpc"))];

    private string ControlPlane { get; } = Url(endpoints, "control-plane", "http");

    /// <summary>Creates what the shop sells, and waits until both nodes price it.</summary>
    public async Task StockAsync()
    {
        await PostAsync(ControlPlane + "/v1/tax-rules", new { jurisdiction, category = "standard", ratePpm = 190_000 });
        await PostAsync(ControlPlane + "/v1/items", new { sku = Sku, name = "Mug", unitPrice = new { currencyCode = Currency, minorUnits = 1_050 } });
        foreach (var node in (string[])["data-plane-1", "data-plane-2"])
            await Eventually.AnswersAsync($"a price of {node}", () => QuoteAsync(node));
    }

    private Task<bool> QuoteAsync(string node) => PostAsync(
        Url(endpoints, node, "http") + "/v1/quotes", new { currencyCode = Currency, jurisdiction, lines = new[] { new { sku = Sku, quantity = 1 } } });

    /// <summary>Quotes of this jurisdiction in the ledger.</summary>
    public async Task<long> BookedAsync()
    {
        var totals = await Http.GetFromJsonAsync<JsonNode>(ControlPlane + "/v1/ledger/totals", TestContext.Current.CancellationToken);
        var mine = totals?["totals"]?.AsArray().FirstOrDefault(total => (string?)total?["jurisdiction"] == jurisdiction);
        return long.Parse((string?)mine?["quotes"] ?? "0", CultureInfo.InvariantCulture);
    }

    /// <summary>Quotes of this jurisdiction in the ledger, once the pipeline has nothing left to do.</summary>
    public async Task<long> SettledAsync()
    {
        await using var database = NpgsqlDataSource.Create((string)endpoints["connectionStrings"]!["hybriddb"]!);
        await Settlement.WaitAsync((string)endpoints["connectionStrings"]!["kafka"]!, database);
        return await BookedAsync();
    }

    /// <summary>Ids of the quotes of this jurisdiction that have an event in Kafka.</summary>
    public IReadOnlySet<string> Events() =>
        EventReader.ReadAll((string)endpoints["connectionStrings"]!["kafka"]!, "hybrid.quotes.v1").Messages(QuotePriced.Parser)
            .Where(e => e.Message.Quote?.Jurisdiction == jurisdiction).Select(e => e.Message.Quote.QuoteId).ToHashSet();

    private static async Task<bool> PostAsync(string url, object body)
    {
        using var response = await Http.PostAsJsonAsync(url, body, TestContext.Current.CancellationToken);
        return response.IsSuccessStatusCode
            ? true
            : throw new HttpRequestException($"{url}: {await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}", null, response.StatusCode);
    }

    private static string Url(JsonNode endpoints, string resource, string endpoint) => (string)endpoints["resources"]![resource]![endpoint]!;
}
