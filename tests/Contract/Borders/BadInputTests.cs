using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Grpc.Core;
using Hybrid.Tests.Contract.Planes;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>Every border answers bad input with a typed error, and goes on.</summary>
public sealed class BadInputTests(BarePlanes planes, ITestOutputHelper output) : BorderTest(planes, output)
{
    private const int TwoMebibytes = 2 * 1024 * 1024;

    private static readonly Marshaller<byte[]> Raw = Marshallers.Create(bytes => bytes, bytes => bytes);

    public static TheoryData<string, string, HttpStatusCode, string> BadQuotes => new()
    {
        { "not JSON", "{", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "no object", "[]", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "empty body", "", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "unknown field", """{"currencyCode":"EUR","jurisdiction":"DE","lines":[],"colour":"red"}""", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "wrong type", """{"currencyCode":12}""", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "quantity beyond int64", """{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"a","quantity":99999999999999999999}]}""", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "fractional quantity", """{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"a","quantity":1.5}]}""", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "negative quantity", """{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"a","quantity":-1}]}""", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "unknown sku", """{"currencyCode":"EUR","jurisdiction":"DE","lines":[{"sku":"no-such-sku","quantity":1}]}""", HttpStatusCode.NotFound, "NOT_FOUND" },
        { "bad currency", """{"currencyCode":"euro","jurisdiction":"DE","lines":[{"sku":"a","quantity":1}]}""", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
        { "invalid UTF-16 escape", """{"currencyCode":"\ud800"}""", HttpStatusCode.BadRequest, "INVALID_ARGUMENT" },
    };

    public static TheoryData<string, string, string, HttpStatusCode> BadWrites => new()
    {
        { "not JSON", "/v1/items", "{", HttpStatusCode.BadRequest },
        { "unknown field", "/v1/items", """{"sku":"a","colour":"red"}""", HttpStatusCode.BadRequest },
        { "negative price", "/v1/items", """{"sku":"bad","name":"Bad","unitPrice":{"currencyCode":"EUR","minorUnits":"-1"}}""", HttpStatusCode.BadRequest },
        { "huge price", "/v1/items", """{"sku":"bad","name":"Bad","unitPrice":{"currencyCode":"EUR","minorUnits":"9223372036854775807"}}""", HttpStatusCode.BadRequest },
        { "price beyond int64", "/v1/items", """{"sku":"bad","name":"Bad","unitPrice":{"currencyCode":"EUR","minorUnits":"99999999999999999999"}}""", HttpStatusCode.BadRequest },
        { "bad currency", "/v1/items", """{"sku":"bad","name":"Bad","unitPrice":{"currencyCode":"eur","minorUnits":"1"}}""", HttpStatusCode.BadRequest },
        { "no price", "/v1/items", """{"sku":"bad","name":"Bad"}""", HttpStatusCode.BadRequest },
        { "bad sku", "/v1/items", """{"sku":"a b","name":"Bad","unitPrice":{"currencyCode":"EUR","minorUnits":"1"}}""", HttpStatusCode.BadRequest },
        { "NUL in a name", "/v1/items", """{"sku":"bad","name":"a\u0000b","unitPrice":{"currencyCode":"EUR","minorUnits":"1"}}""", HttpStatusCode.BadRequest },
        { "rate above 100%", "/v1/tax-rules", """{"jurisdiction":"DE","category":"bad","ratePpm":"1000001"}""", HttpStatusCode.BadRequest },
        { "negative rate", "/v1/tax-rules", """{"jurisdiction":"DE","category":"bad","ratePpm":"-1"}""", HttpStatusCode.BadRequest },
        { "promotion without a discount", "/v1/promotions", """{"promotionId":"bad","name":"Bad","budget":{"currencyCode":"EUR","minorUnits":"1"}}""", HttpStatusCode.BadRequest },
        { "promotion without a budget", "/v1/promotions", """{"promotionId":"bad","name":"Bad","percentOffPpm":"1"}""", HttpStatusCode.BadRequest },
        { "article: not JSON", "/items", "{", HttpStatusCode.BadRequest },
        { "article: negative price", "/items", """{"name":"Bad","price":-1}""", HttpStatusCode.BadRequest },
        { "article: no name", "/items", """{"price":1}""", HttpStatusCode.BadRequest },
        { "article: fractions of a cent", "/items", """{"name":"Bad","price":0.001}""", HttpStatusCode.BadRequest },
        { "article: huge price", "/items", """{"name":"Bad","price":1e300}""", HttpStatusCode.BadRequest },
    };

    [Theory]
    [MemberData(nameof(BadQuotes))]
    public async Task A_data_plane_answers_bad_json_with_a_problem_document(string what, string body, HttpStatusCode status, string code)
    {
        var problem = await PostAsync(new Uri(Planes.Nodes[0].Http, "/v1/quotes"), body, status);
        Assert.True(code == (string?)problem["code"], $"{what}: {problem}");
    }

    [Theory]
    [MemberData(nameof(BadWrites))]
    public async Task The_control_plane_answers_bad_json_with_a_problem_document(string what, string path, string body, HttpStatusCode status)
    {
        var problem = await PostAsync(new Uri(Planes.ControlPlaneHttp, path), body, status);
        Assert.True((string?)problem["code"] == "INVALID_ARGUMENT", $"{what}: {problem}");
    }

    [Fact]
    public async Task All_field_violations_come_at_once()
    {
        var problem = await PostAsync(
            new Uri(Planes.ControlPlaneHttp, "/v1/items"), """{"sku":"a b","name":"","unitPrice":{"currencyCode":"e","minorUnits":"-1"}}""", HttpStatusCode.BadRequest);
        Assert.True(problem["errors"]!.AsArray().Count >= 4, problem.ToString());
    }

    [Fact]
    public async Task Oversized_bodies_are_refused()
    {
        var body = $$"""{"currencyCode":"{{new string('x', TwoMebibytes)}}"}""";
        await PostAsync(new Uri(Planes.Nodes[0].Http, "/v1/quotes"), body, HttpStatusCode.RequestEntityTooLarge);
        await PostAsync(new Uri(Planes.ControlPlaneHttp, "/v1/items"), body, HttpStatusCode.RequestEntityTooLarge);
    }

    [Theory]
    [InlineData("data-plane-1", "hybrid.pricing.v1.PricingService", "Quote")]
    [InlineData("control-plane", "hybrid.catalog.v1.CatalogService", "CreateItem")]
    public async Task Malformed_protobuf_is_a_typed_error(string resource, string service, string method)
    {
        // Field 1 claims 127 bytes and has none.
        var status = await CallRawAsync(resource, service, method, [0x0a, 0x7f]);
        Assert.Equal(StatusCode.Internal, status.StatusCode);
        Assert.NotEmpty(status.Detail);
    }

    [Theory]
    [InlineData("data-plane-1", "hybrid.pricing.v1.PricingService", "Quote")]
    [InlineData("control-plane", "hybrid.catalog.v1.CatalogService", "CreateItem")]
    public async Task An_oversized_message_is_a_typed_error(string resource, string service, string method)
    {
        var status = await CallRawAsync(resource, service, method, new byte[TwoMebibytes]);
        Assert.Contains(status.StatusCode, (StatusCode[])[StatusCode.ResourceExhausted, StatusCode.OutOfRange]);
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

    private async Task<JsonNode> PostAsync(Uri uri, string body, HttpStatusCode expected)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var response = await Planes.Http.PostAsync(uri, content, Cancellation);
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
