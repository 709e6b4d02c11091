using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Borders;

namespace Hybrid.Tests.Contract.Pricing;

/// <summary>The vectors of protos/testdata, against the C# oracle. Go and Rust run the same files in their own suites.</summary>
public sealed class GoldenVectors
{
    private static readonly JsonParser Parser = new(JsonParser.Settings.Default);

    public static TheoryData<string, string> PricingCases => Cases("pricing");

    public static TheoryData<string, string> MoneyCases => Cases("money");

    [Theory]
    [MemberData(nameof(PricingCases))]
    public void Pricing(string file, string name)
    {
        var vector = Find("pricing", file, name);
        var catalog = new OracleCatalog(
            Messages<Item>(vector, "items"), Messages<TaxRule>(vector, "taxRules"), Messages<Promotion>(vector, "promotions"));
        var request = Parser.Parse<QuoteRequest>(vector["request"]!.ToJsonString());
        var now = DateTimeOffset.Parse((string)vector["now"]!, CultureInfo.InvariantCulture);

        if (vector["error"] is { } error)
        {
            var rejected = Assert.Throws<QuoteRejectedException>(() => PricingOracle.Quote(catalog, request, now));
            Assert.Equal(
                ((string)error["code"]!, (string)error["reason"]!, (string?)error["field"] ?? ""),
                (ErrorNames.Of(rejected.Code), rejected.Reason, rejected.Field));
            return;
        }
        Assert.Equal(Parser.Parse<QuoteResponse>(vector["response"]!.ToJsonString()), PricingOracle.Quote(catalog, request, now));
    }

    [Theory]
    [MemberData(nameof(MoneyCases))]
    public void Money(string file, string name)
    {
        var vector = Find("money", file, name);
        var share = PricingOracle.Share(Number(vector, "amount"), Number(vector, "ratePpm"));
        if ((bool?)vector["overflow"] == true)
            Assert.False(share >= long.MinValue && share <= long.MaxValue);
        else
            Assert.Equal(Number(vector, "result"), share);
    }

    private static BigInteger Number(JsonNode node, string name) => BigInteger.Parse((string)node[name]!, CultureInfo.InvariantCulture);

    private static List<T> Messages<T>(JsonNode vector, string kind) where T : IMessage<T>, new() =>
        [.. (vector["catalog"]![kind]?.AsArray() ?? []).Select(node => Parser.Parse<T>(node!.ToJsonString()))];

    private static TheoryData<string, string> Cases(string area)
    {
        var data = new TheoryData<string, string>();
        foreach (var file in Directory.GetFiles(Folder(area), "*.json").Order(StringComparer.Ordinal))
        {
            var cases = Read(file);
            for (var i = 0; i < cases.Count; i++)
                data.Add(Path.GetFileName(file), NameOf(cases[i]!, i));
        }
        Assert.NotEmpty(data);
        return data;
    }

    private static JsonNode Find(string area, string file, string name)
    {
        var cases = Read(Path.Combine(Folder(area), file));
        return cases.Where((vector, i) => NameOf(vector!, i) == name).Single()!;
    }

    private static string NameOf(JsonNode vector, int index) => (string?)vector["name"] ?? $"#{index}";

    private static JsonArray Read(string file) => JsonNode.Parse(File.ReadAllText(file))!["cases"]!.AsArray();

    private static string Folder(string area) => Path.Combine(AppContext.BaseDirectory, "testdata", area);
}
