using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Grpc.Core;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Contract.Pricing;

/// <summary>The vectors of protos/testdata, against the C# oracle. Go and Rust run the same files in their own suites.</summary>
public sealed class GoldenVectors
{
    private static readonly Dictionary<string, JsonNode> PricingVectors = Read("pricing");
    private static readonly Dictionary<string, JsonNode> MoneyVectors = Read("money");

    public static TheoryData<string> PricingCases => new(PricingVectors.Keys);

    public static TheoryData<string> MoneyCases => new(MoneyVectors.Keys);

    [Theory]
    [MemberData(nameof(PricingCases))]
    public void Pricing(string name)
    {
        var vector = PricingVectors[name];
        var catalog = new OracleCatalog(
            Messages<Item>(vector, "items"), Messages<TaxRule>(vector, "taxRules"), Messages<Promotion>(vector, "promotions"));
        var request = QuoteRequest.Parser.ParseJson(vector["request"]!.ToJsonString());
        var now = DateTimeOffset.Parse((string)vector["now"]!, CultureInfo.InvariantCulture);

        if (vector["error"] is { } error)
        {
            var rejected = Assert.Throws<QuoteRejectedException>(() => PricingOracle.Quote(catalog, request, now));
            Assert.Equal(
                (Enum.Parse<StatusCode>(((string)error["code"]!).Replace("_", ""), ignoreCase: true), (string)error["reason"]!, (string?)error["field"] ?? ""),
                (rejected.Code, rejected.Reason, rejected.Field));
            return;
        }
        Assert.Equal(QuoteResponse.Parser.ParseJson(vector["response"]!.ToJsonString()), PricingOracle.Quote(catalog, request, now));
    }

    [Theory]
    [MemberData(nameof(MoneyCases))]
    public void Money(string name)
    {
        var vector = MoneyVectors[name];
        var share = PricingOracle.Share(Number(vector, "amount"), Number(vector, "ratePpm"));
        if ((bool?)vector["overflow"] == true)
            Assert.False(share >= long.MinValue && share <= long.MaxValue);
        else
            Assert.Equal(Number(vector, "result"), share);
    }

    private static BigInteger Number(JsonNode node, string name) => BigInteger.Parse((string)node[name]!, CultureInfo.InvariantCulture);

    private static List<T> Messages<T>(JsonNode vector, string kind) where T : IMessage<T>, new() =>
        [.. (vector["catalog"]![kind]?.AsArray() ?? []).Select(node => JsonParser.Default.Parse<T>(node!.ToJsonString()))];

    /// <summary>The vectors of an area, by the name of their file and their own.</summary>
    private static Dictionary<string, JsonNode> Read(string area) =>
        Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "testdata", area), "*.json").Order(StringComparer.Ordinal)
            .SelectMany(file => JsonNode.Parse(File.ReadAllText(file))!["cases"]!.AsArray()
                .Select((vector, i) => (Name: $"{Path.GetFileNameWithoutExtension(file)}: {(string?)vector!["name"] ?? $"#{i}"}", Vector: vector!)))
            .ToDictionary(vector => vector.Name, vector => vector.Vector);
}
