using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Npgsql;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>What every items twin is asked, and what it must answer.</summary>
internal static class ItemsCases
{
    private const string Json = "application/json";
    private static readonly HttpClient Http = new();

    /// <summary>A body that is posted, the status of the answer, and the tax in it.</summary>
    private sealed record Case(string Name, int Status, string Body, double Tax = 0, string? Type = Json)
    {
        public byte[] Bytes => Encoding.Latin1.GetBytes(Body.Replace("NAME", ItemName, StringComparison.Ordinal));
        public string ItemName { get; } = "item-" + Guid.NewGuid();
    }

    private static IEnumerable<Case> Cases =>
    [
        new("a whole price", 200, """{"name":"NAME","price":100}""", 100 * 0.19),
        new("a price with cents", 200, """{"name":"NAME","price":19.99}""", 19.99 * 0.19),
        new("no price to pay", 200, """{"price":0,"name":"NAME"}"""),
        new("a price in powers of ten", 200, """{"name":"NAME","price":1.5e3}""", 1500 * 0.19),
        new("the largest price", 200, """{"name":"NAME","price":10000000000}""", 1e10 * 0.19),
        new("minus zero", 200, """{"name":"NAME","price":-0.0}""", -0.0),
        new("a charset beside the content type", 200, """{"name":"NAME","price":1}""", 0.19, "application/json; charset=utf-8"),
        new("a price above the largest", 400, """{"name":"NAME","price":10000000000.01}"""),
        new("a negative price", 400, """{"name":"NAME","price":-0.01}"""),
        new("a price beyond all floats", 400, """{"name":"NAME","price":1e999}"""),
        new("no price", 400, """{"name":"NAME"}"""),
        new("price null", 400, """{"name":"NAME","price":null}"""),
        new("a price as text", 400, """{"name":"NAME","price":"1"}"""),
        new("no name", 400, """{"price":1}"""),
        new("an empty name", 400, """{"name":"","price":1}"""),
        new("a name that is a number", 400, """{"name":1,"price":1}"""),
        new("an unknown member", 400, """{"name":"NAME","price":1,"more":1}"""),
        new("a member twice", 400, """{"name":"NAME","price":1,"price":2}""", 0.38),
        new("a member in capitals", 400, """{"NAME":"NAME","price":1}""".Replace("\"NAME\":", "\"Name\":", StringComparison.Ordinal), 0.19),
        new("an array for an object", 400, """["NAME",1]""", 0.19),
        new("null for an object", 400, "null"),
        new("half an object", 400, """{"name":"NAME","""),
        new("an empty body", 400, ""),
        new("two objects", 400, """{"name":"NAME","price":1}{"name":"NAME","price":1}"""),
        new("half a surrogate", 400, """{"name":"NAME\ud800","price":1}""", 0.19),
        new("a name that is not UTF-8", 400, "{\"name\":\"NAME\u00ff\",\"price\":1}", 0.19),
        new("no content type", 415, """{"name":"NAME","price":1}""", Type: null),
        new("another content type", 415, """{"name":"NAME","price":1}""", Type: "text/plain"),
        new("a content type that ends in +json", 415, """{"name":"NAME","price":1}""", 0.19, "application/vnd.item+json"),
        new("a body of more than 64 KiB", 413, $$"""{"name":"NAME{{new string('a', 64 << 10)}}","price":1}"""),
    ];

    /// <summary>Asks a server everything.</summary>
    /// <param name="database">Where it stores items.</param>
    /// <returns>What is wrong with its answers; nothing where all is right.</returns>
    public static async Task<List<string>> FailuresAsync(string twin, Uri address, NpgsqlDataSource database, Differences differences)
    {
        List<string> failures = [];
        foreach (var (method, path, answer) in ((string, string, string)[])[
                     ("GET", "/livez", "200"), ("GET", "/plaintext", "200 text/plain; charset=utf-8 Hello, World!"), ("POST", "/plaintext", "405"),
                     ("GET", "/items", "405"), ("PUT", "/stored-items", "405"), ("GET", "/nowhere", "404")])
        {
            using var response = await Http.SendAsync(new HttpRequestMessage(new HttpMethod(method), new Uri(address, path)));
            var got = $"{(int)response.StatusCode}";
            if (answer.Length > 3)
                got += $" {response.Content.Headers.ContentType} {await response.Content.ReadAsStringAsync()}";
            if (got != differences.Expected(twin, $"{method} {path}", answer))
                failures.Add($"{method} {path}: {got}");
        }
        foreach (var path in (string[])["/items", "/stored-items"])
        {
            foreach (var one in Cases)
            {
                var got = await PostAsync(new Uri(address, path), one);
                var expected = differences.Expected(twin, one.Name, $"{one.Status}");
                var accepted = expected == "200";
                if (got.Status != expected)
                    failures.Add($"{one.Name}: {path} answers {got.Status}, not {expected}");
                else if (accepted && (got.Created != "created" || got.Tax != one.Tax))
                    failures.Add($"{one.Name}: {path} answers {got.Created} and a tax of {got.Tax}, not {one.Tax}");
                var stored = await StoredAsync(database, one.ItemName);
                var rightly = accepted && path == "/stored-items" ? $"{got.Id} {one.Tax}" : "";
                if (stored != rightly)
                    failures.Add($"{one.Name}: after {path} the database has \"{stored}\", not \"{rightly}\"");
            }
        }
        return failures;
    }

    private static async Task<(string Status, string? Created, double? Tax, long? Id)> PostAsync(Uri uri, Case one)
    {
        using var content = new ByteArrayContent(one.Bytes);
        content.Headers.ContentType = one.Type is null ? null : MediaTypeHeaderValue.Parse(one.Type);
        using var response = await Http.PostAsync(uri, content);
        var status = $"{(int)response.StatusCode}";
        if (!response.IsSuccessStatusCode)
            return (status, null, null, null);
        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync());
        return (status, (string?)body?["status"], (double?)body?["tax"], (long?)body?["id"]);
    }

    /// <summary>Id and tax of the rows whose name begins so.</summary>
    private static async Task<string> StoredAsync(NpgsqlDataSource database, string name)
    {
        await using var command = database.CreateCommand("select id, tax from lab_items where starts_with(name, $1)");
        command.Parameters.AddWithValue(name);
        await using var reader = await command.ExecuteReaderAsync();
        List<string> rows = [];
        while (await reader.ReadAsync())
            rows.Add($"{reader.GetInt64(0)} {reader.GetDouble(1)}");
        return string.Join("; ", rows);
    }
}
