using System.Net;
using System.Text.Json.Nodes;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>A span as the dashboard has it.</summary>
/// <param name="Kind">As OTLP numbers them: 2 server, 3 client, 4 producer, 5 consumer.</param>
/// <param name="Links">Ids of the traces that it is linked to.</param>
internal sealed record ShownSpan(string Resource, string TraceId, string SpanId, string ParentId, string Name, int Kind, IReadOnlyList<string> Links)
{
    public const int Server = 2, Client = 3, Producer = 4, Consumer = 5;
}

/// <summary>A log record as the dashboard has it.</summary>
internal sealed record ShownLog(string Resource, string Body, string Severity, string TraceId);

/// <summary>The dashboard's telemetry API, which answers in OTLP's JSON.</summary>
internal sealed class TelemetryApi(HttpClient http, Uri dashboard, string apiKey)
{
    /// <summary>Names of everything that has sent telemetry.</summary>
    public async Task<IReadOnlyList<string>> ResourcesAsync() =>
        [.. (await GetAsync("resources")).AsArray().Select(resource => Text(resource, "name"))];

    /// <summary>Every span that fits the query, such as <c>?traceId=…</c>.</summary>
    public async Task<IReadOnlyList<ShownSpan>> SpansAsync(string query = "") => Spans(await GetAsync("spans" + query));

    public async Task<IReadOnlyList<ShownSpan>> TracesAsync(string query = "") => Spans(await GetAsync("traces" + query));

    public async Task<IReadOnlyList<ShownLog>> LogsAsync(string query = "") =>
        [.. from of in List((await GetAsync("logs" + query))["data"], "resourceLogs")
            from scope in List(of, "scopeLogs")
            from record in List(scope, "logRecords")
            select new ShownLog(ResourceOf(of), Text(record?["body"], "stringValue"), Text(record, "severityText"), Text(record, "traceId"))];

    /// <summary>The status of an answer to a caller with another key, or with none.</summary>
    public async Task<HttpStatusCode> StatusWithKeyAsync(string? key)
    {
        using var response = await SendAsync("spans", key);
        return response.StatusCode;
    }

    private async Task<JsonNode> GetAsync(string what)
    {
        using var response = await SendAsync(what, apiKey);
        response.EnsureSuccessStatusCode();
        return JsonNode.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!;
    }

    private Task<HttpResponseMessage> SendAsync(string what, string? key)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, new Uri(dashboard, $"/api/telemetry/{what}"));
        if (key is not null)
            request.Headers.Add("x-api-key", key);
        return http.SendAsync(request, TestContext.Current.CancellationToken);
    }

    private static IReadOnlyList<ShownSpan> Spans(JsonNode answer) =>
        [.. from of in List(answer["data"], "resourceSpans")
            from scope in List(of, "scopeSpans")
            from span in List(scope, "spans")
            select new ShownSpan(
                ResourceOf(of), Text(span, "traceId"), Text(span, "spanId"), Text(span, "parentSpanId"), Text(span, "name"), (int?)span?["kind"] ?? 0,
                [.. List(span, "links").Select(link => Text(link, "traceId"))])];

    private static string ResourceOf(JsonNode? of) =>
        Text(List(of?["resource"], "attributes").FirstOrDefault(a => Text(a, "key") == "service.name")?["value"], "stringValue");

    private static JsonArray List(JsonNode? node, string name) => node?[name]?.AsArray() ?? [];

    private static string Text(JsonNode? node, string name) => (string?)node?[name] ?? "";
}
