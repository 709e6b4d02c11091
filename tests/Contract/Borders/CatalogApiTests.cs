using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Grpc.Core;
using Hybrid.Catalog.V1;
using Hybrid.Tests.Contract.Planes;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>The catalog's promises: versions on every write, repeatable creates, pages, and REST that says the same as gRPC.</summary>
public sealed class CatalogApiTests(BarePlanes planes, ITestOutputHelper output) : PlanesTest(planes, output)
{
    protected override IReadOnlyList<string> Concerned => ["control-plane"];

    [Fact]
    public async Task A_write_based_on_an_old_version_changes_nothing()
    {
        var item = await CreateItemAsync(100);
        var changed = item.Clone();
        changed.UnitPrice.MinorUnits = 200;
        var updated = (await Planes.Catalog.UpdateItemAsync(new() { Item = changed }, cancellationToken: Cancellation)).Item;
        Assert.True(updated.Version > item.Version);

        Assert.Equal("VERSION_MISMATCH", await RefusedAsync(StatusCode.Aborted, Planes.Catalog.UpdateItemAsync(new() { Item = item }, cancellationToken: Cancellation)));
        await RefusedAsync(StatusCode.Aborted, Planes.Catalog.DeleteItemAsync(new() { Sku = item.Sku, Version = item.Version }, cancellationToken: Cancellation));
        Assert.Equal(updated, (await Planes.Catalog.GetItemAsync(new() { Sku = item.Sku }, cancellationToken: Cancellation)).Item);
    }

    [Fact]
    public async Task A_create_with_a_request_id_can_be_repeated()
    {
        var request = new CreateItemRequest
        {
            RequestId = Guid.NewGuid().ToString(),
            Item = new Item { Sku = UniqueName("sku"), Name = "Once", UnitPrice = new() { CurrencyCode = "EUR", MinorUnits = 5 } },
        };
        var first = await Planes.Catalog.CreateItemAsync(request, cancellationToken: Cancellation);
        Assert.Equal(first, await Planes.Catalog.CreateItemAsync(request, cancellationToken: Cancellation));

        var other = request.Clone();
        other.Item.Name = "Twice";
        Assert.Equal("REQUEST_ID_REUSED", await RefusedAsync(StatusCode.AlreadyExists, Planes.Catalog.CreateItemAsync(other, cancellationToken: Cancellation)));

        var twin = request.Clone();
        twin.RequestId = "";
        await RefusedAsync(StatusCode.AlreadyExists, Planes.Catalog.CreateItemAsync(twin, cancellationToken: Cancellation));
    }

    [Fact]
    public async Task REST_creates_reads_updates_lists_and_deletes()
    {
        var sku = UniqueName("rest");
        var created = await SendAsync(HttpMethod.Post, "/v1/items", new { sku, name = "Mug", unitPrice = new { currencyCode = "EUR", minorUnits = "1050" } });
        Assert.Equal("1050", (string?)created["unitPrice"]!["minorUnits"]);
        Assert.Equal(sku, (await Planes.Catalog.GetItemAsync(new() { Sku = sku }, cancellationToken: Cancellation)).Item.Sku);

        var version = (string?)created["version"];
        var updated = await SendAsync(HttpMethod.Put, $"/v1/items/{sku}", new { sku, name = "Cup", unitPrice = new { currencyCode = "EUR", minorUnits = "1100" }, version });
        Assert.Equal("Cup", (string?)(await SendAsync(HttpMethod.Get, $"/v1/items/{sku}"))["name"]);
        Assert.NotEmpty((await SendAsync(HttpMethod.Get, "/v1/items?pageSize=1"))["items"]!.AsArray());

        await SendAsync(HttpMethod.Put, $"/v1/items/{sku}", new { sku, name = "Old", unitPrice = new { currencyCode = "EUR", minorUnits = "1" }, version }, HttpStatusCode.Conflict);
        await SendAsync(HttpMethod.Delete, $"/v1/items/{sku}?version={(string?)updated["version"]}");
        var missing = await SendAsync(HttpMethod.Get, $"/v1/items/{sku}", expected: HttpStatusCode.NotFound);
        Assert.Equal("NOT_FOUND", (string?)missing["code"]);
    }

    /// <returns>The reason that the error carries; null where it has none.</returns>
    private static async Task<string?> RefusedAsync<T>(StatusCode expected, AsyncUnaryCall<T> call)
    {
        var error = await Assert.ThrowsAsync<RpcException>(async () => await call);
        Assert.Equal(expected, error.StatusCode);
        return error.GetRpcStatus()?.GetDetail<Google.Rpc.ErrorInfo>()?.Reason;
    }

    private async Task<JsonNode> SendAsync(HttpMethod method, string path, object? body = null, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using var request = new HttpRequestMessage(method, new Uri(Planes.ControlPlaneHttp, path)) { Content = body is null ? null : JsonContent.Create(body) };
        using var response = await Planes.Http.SendAsync(request, Cancellation);
        var text = await response.Content.ReadAsStringAsync(Cancellation);
        Assert.True(response.StatusCode == expected, $"{method} {path}: {(int)response.StatusCode} {text}");
        return JsonNode.Parse(text)!;
    }
}
