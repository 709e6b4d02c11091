using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Hybrid.Measure;

/// <summary>The topology that an endpoints.json describes, stocked with one item, one tax rule and one promotion to measure with.</summary>
internal sealed class RunningSystem : IDisposable
{
    public const string Currency = "EUR";
    private readonly HttpClient http = new();
    private readonly JsonNode endpoints;

    private RunningSystem(JsonNode endpoints) => this.endpoints = endpoints;

    public string Sku { get; } = "measure-" + Guid.NewGuid().ToString("N")[..12];

    public string Jurisdiction { get; } = "M-" + Guid.NewGuid().ToString("N")[..10].ToUpperInvariant();

    public static async Task<RunningSystem> OpenAsync(string state)
    {
        var file = Path.Combine(state, "endpoints.json");
        if (!File.Exists(file))
            throw new MeasurementException($"{file} is not there. Start the topology first: dotnet run --project AppHost -- --state {state}");
        var system = new RunningSystem(JsonNode.Parse(await File.ReadAllTextAsync(file))!);
        await system.PostAsync("/v1/tax-rules", new { jurisdiction = system.Jurisdiction, category = "standard", ratePpm = 190_000 });
        await system.PostAsync("/v1/items", new { sku = system.Sku, name = "Measured", unitPrice = new { currencyCode = Currency, minorUnits = 1_999 } });
        await system.PostAsync(
            "/v1/promotions",
            new { promotionId = system.Sku, name = "Measured", percentOffPpm = 100_000, skus = new[] { system.Sku }, budget = new { currencyCode = Currency, minorUnits = 1_000_000_000_000 } });
        return system;
    }

    public void Dispose() => http.Dispose();

    public Uri Url(string resource, string endpoint) => new((string)endpoints["resources"]![resource]![endpoint]!);

    /// <summary>The processes that listen for the resources and the dashboard on this machine, by resource and program.</summary>
    public async Task<IReadOnlyDictionary<string, int>> ProcessesAsync()
    {
        var found = new Dictionary<string, int>();
        var urls = endpoints["resources"]!.AsObject().Select(r => (r.Key, Url: r.Value!.AsObject().FirstOrDefault().Value));
        foreach (var (name, url) in urls.Append(("dashboard", endpoints["dashboard"]?["url"])))
        {
            if (url is not null && await ServiceProcess.ListeningAsync(new Uri((string)url!).Port) is { } id)
                found[$"{name} ({(await File.ReadAllTextAsync($"/proc/{id}/comm")).Trim()})"] = id;
        }
        return found;
    }

    /// <summary>Quotes in the ledger for this run's jurisdiction.</summary>
    public async Task<long> BookedAsync()
    {
        var totals = await http.GetFromJsonAsync<JsonNode>(new Uri(Url("control-plane", "http"), "/v1/ledger/totals"));
        var mine = totals!["totals"]!.AsArray().FirstOrDefault(t => (string?)t!["jurisdiction"] == Jurisdiction);
        return mine is null ? 0 : long.Parse((string)mine["quotes"]!, CultureInfo.InvariantCulture);
    }

    /// <summary>Changes the item's price and waits until every node has applied it.</summary>
    /// <returns>From the write's time stamp in Postgres to the last node's application.</returns>
    public async Task<TimeSpan> ChangeAndWaitAsync(long price)
    {
        var current = await http.GetFromJsonAsync<JsonNode>(new Uri(Url("control-plane", "http"), "/v1/items/" + Sku));
        using var response = await http.PutAsJsonAsync(
            new Uri(Url("control-plane", "http"), "/v1/items/" + Sku),
            new { sku = Sku, name = "Measured", unitPrice = new { currencyCode = Currency, minorUnits = price }, version = (string)current!["version"]! });
        response.EnsureSuccessStatusCode();
        var written = (await response.Content.ReadFromJsonAsync<JsonNode>())!;
        var version = Long(written, "version");
        while (true)
        {
            var fleet = await http.GetFromJsonAsync<JsonNode>(new Uri(Url("control-plane", "http"), "/v1/fleet/nodes"));
            var connected = fleet!["nodes"]!.AsArray().Where(n => (bool?)n!["connected"] == true).ToList();
            if (connected.TrueForAll(n => Long(n!, "appliedVersion") >= version))
                return connected.Max(n => Time(n!, "appliedAt")) - Time(written, "updatedAt");
        }
    }

    private async Task PostAsync(string path, object body)
    {
        using var response = await http.PostAsJsonAsync(new Uri(Url("control-plane", "http"), path), body);
        if (!response.IsSuccessStatusCode)
            throw new MeasurementException($"POST {path}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
    }

    private static long Long(JsonNode node, string name) => long.Parse((string?)node[name] ?? "0", CultureInfo.InvariantCulture);

    private static DateTimeOffset Time(JsonNode node, string name) => DateTimeOffset.Parse((string)node[name]!, CultureInfo.InvariantCulture);
}
