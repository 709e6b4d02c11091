using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using Grpc.Core;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;

namespace Hybrid.Tests.Contract.Pricing;

/// <summary>The vectors of protos/testdata, against the C# oracle. Go and Rust run the same files in their own suites.</summary>
public sealed class GoldenVectors
{
    public static TheoryData<string> PricingCases => new(Vectors.Pricing.Keys);

    public static TheoryData<string> MoneyCases => new(Vectors.Money.Keys);

    [Theory]
    [MemberData(nameof(PricingCases))]
    public void Pricing(string name)
    {
        var vector = Vectors.Pricing[name];
        var catalog = new OracleCatalog(
            Vectors.Messages<Item>(vector, "items"), Vectors.Messages<TaxRule>(vector, "taxRules"), Vectors.Messages<Promotion>(vector, "promotions"));
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
        var vector = Vectors.Money[name];
        var share = PricingOracle.Share(Number(vector, "amount"), Number(vector, "ratePpm"));
        if ((bool?)vector["overflow"] == true)
            Assert.False(share >= long.MinValue && share <= long.MaxValue);
        else
            Assert.Equal(Number(vector, "result"), share);
    }

    private static BigInteger Number(JsonNode node, string name) => BigInteger.Parse((string)node[name]!, CultureInfo.InvariantCulture);
}
