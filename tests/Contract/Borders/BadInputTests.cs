using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Grpc.Core;
using Hybrid.Tests.Contract.Planes;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>Every border answers bad input with a typed error, and goes on.</summary>
public sealed class BadInputTests(BarePlanes planes, ITestOutputHelper output) : PlanesTest(planes, output)
{
    private const string Quotes = "/v1/quotes";
    private const int TwoMebibytes = 2 * 1024 * 1024;

    private static readonly Marshaller<byte[]> Raw = Marshallers.Create(bytes => bytes, bytes => bytes);

    /// <summary>What is wrong, where it is posted, and what.</summary>
    public static TheoryData<string, string, string> BadBodies => new()
    {
        { "not JSON", Quotes, "{" },
        { "unknown field", Quotes, """{"currencyCode":"EUR","jurisdiction":"DE","lines":[],"colour":"red"}""" },
        { "quantity beyond int64", Quotes, """{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"a","quantity":99999999999999999999}]}""" },
        { "negative quantity", Quotes, """{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"a","quantity":-1}]}""" },
        { "bad currency", Quotes, """{"currencyCode":"euro","jurisdiction":"DE","lines":[{"sku":"a","quantity":1}]}""" },
        { "unknown field", "/v1/items", """{"sku":"a","colour":"red"}""" },
        { "negative price", "/v1/items", """{"sku":"bad","name":"Bad","unitPrice":{"currencyCode":"EUR","minorUnits":"-1"}}""" },
        { "huge price", "/v1/items", """{"sku":"bad","name":"Bad","unitPrice":{"currencyCode":"EUR","minorUnits":"9223372036854775807"}}""" },
        { "bad currency", "/v1/items", """{"sku":"bad","name":"Bad","unitPrice":{"currencyCode":"eur","minorUnits":"1"}}""" },
        { "bad sku", "/v1/items", """{"sku":"a b","name":"Bad","unitPrice":{"currencyCode":"EUR","minorUnits":"1"}}""" },
        { "rate above 100%", "/v1/tax-rules", """{"jurisdiction":"DE","category":"bad","ratePpm":"1000001"}""" },
        { "promotion without a discount", "/v1/promotions", """{"promotionId":"bad","name":"Bad","budget":{"currencyCode":"EUR","minorUnits":"1"}}""" },
        { "article: negative price", "/items", """{"name":"Bad","price":-1}""" },
        { "article: huge price", "/items", """{"name":"Bad","price":1e300}""" },
    };

    [Theory]
    [MemberData(nameof(BadBodies))]
    public async Task Bad_json_is_answered_with_a_problem_document(string what, string path, string body)
    {
        var problem = await PostAsync(path, body, HttpStatusCode.BadRequest);
        Assert.True((string?)problem["code"] == "INVALID_ARGUMENT", $"{what}: {problem}");
    }

    [Fact]
    public async Task Oversized_bodies_are_refused()
    {
        var body = $$"""{"currencyCode":"{{new string('x', TwoMebibytes)}}"}""";
        await PostAsync(Quotes, body, HttpStatusCode.RequestEntityTooLarge);
        await PostAsync("/v1/items", body, HttpStatusCode.RequestEntityTooLarge);
    }

    [Theory]
    [InlineData("data-plane-1", "hybrid.pricing.v1.PricingService", "Quote")]
    [InlineData("control-plane", "hybrid.catalog.v1.CatalogService", "CreateItem")]
    public async Task Malformed_and_oversized_protobuf_are_typed_errors(string resource, string service, string method)
    {
        // Field 1 claims 127 bytes and has none.
        var malformed = await CallRawAsync(resource, service, method, [0x0a, 0x7f]);
        Assert.Equal(StatusCode.Internal, malformed.StatusCode);
        Assert.NotEmpty(malformed.Detail);
        var oversized = await CallRawAsync(resource, service, method, new byte[TwoMebibytes]);
        Assert.Equal(StatusCode.ResourceExhausted, oversized.StatusCode);
    }

    [Fact]
    public async Task A_quote_error_carries_its_reason_and_field_over_gRPC()
    {
        var error = await Assert.ThrowsAsync<RpcException>(async () => await Planes.Nodes[0].Pricing.QuoteAsync(Basket(("no-such-sku", 1)), cancellationToken: Cancellation));
        Assert.Equal(StatusCode.NotFound, error.StatusCode);
        var info = error.GetRpcStatus()!.GetDetail<Google.Rpc.ErrorInfo>()!;
        Assert.Equal(("hybrid.pricing", "SKU_UNKNOWN"), (info.Domain, info.Reason));
        Assert.Equal("lines[0].sku", Assert.Single(error.GetRpcStatus()!.GetDetail<Google.Rpc.BadRequest>()!.FieldViolations).Field);
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        // Whatever came in: nothing crashed.
        foreach (var resource in Concerned)
            Assert.DoesNotContain(await Planes.LogTailAsync(resource, 200), line => line.Contains("panic", StringComparison.OrdinalIgnoreCase));
    }

    private async Task<JsonNode> PostAsync(string path, string body, HttpStatusCode expected)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await Planes.Http.PostAsync(new Uri(path == Quotes ? Planes.Nodes[0].Http : Planes.ControlPlaneHttp, path), content, Cancellation);
        var text = await response.Content.ReadAsStringAsync(Cancellation);
        Assert.True(response.StatusCode == expected, $"{(int)response.StatusCode} {text}");
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        var problem = JsonNode.Parse(text)!;
        Assert.Equal((int)expected, (int?)problem["status"]);
        Assert.NotEmpty((string?)problem["title"] ?? "");
        return problem;
    }

    private async Task<Status> CallRawAsync(string resource, string service, string method, byte[] request)
    {
        var channel = resource == "control-plane" ? Planes.ControlPlane : Planes.Nodes.Single(node => node.Name == resource).Channel;
        using var call = channel.CreateCallInvoker().AsyncUnaryCall(
            new Method<byte[], byte[]>(MethodType.Unary, service, method, Raw, Raw), null, new CallOptions(cancellationToken: Cancellation), request);
        return (await Assert.ThrowsAsync<RpcException>(async () => await call.ResponseAsync)).Status;
    }
}
