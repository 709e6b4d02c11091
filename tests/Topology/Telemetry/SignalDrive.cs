using System.Net.Http.Json;
using System.Text;
using Grpc.Core;
using Hybrid.Catalog.V1;
using Hybrid.Pricing.V1;
using Hybrid.Snapshot.V1;
using Hybrid.Usage.V1;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>Makes every service do once what it has signals for: reads, writes, quotes, errors of each kind, and the loop to the ledger.</summary>
internal sealed class SignalDrive(RunningTopology topology, string jurisdiction, string sku)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async Task RunAsync()
    {
        var version = await WriteAndReadByGrpcAsync();
        await WriteAndReadByRestAsync();
        await RejectAsNodeAsync();
        foreach (var node in topology.Nodes)
        {
            await topology.AppliedAsync(node.Name, version);
            await QuoteAsync(node);
        }
        foreach (var topic in (string[])["hybrid.quotes.v1", "hybrid.usage.v1"])
        {
            await EventWriter.ProduceAsync(
                topology.KafkaBootstrap, topic, partition: 0, Encoding.UTF8.GetBytes("poison " + Guid.NewGuid()), new TracedRequest().Headers);
        }
        await Settlement.WaitAsync(topology);
    }

    private async Task<long> WriteAndReadByGrpcAsync()
    {
        var trace = new TracedRequest().Metadata;
        var item = new Item { Sku = sku, Name = sku, UnitPrice = new() { CurrencyCode = "EUR", MinorUnits = 100 } };
        await topology.Catalog.CreateItemAsync(new() { Item = item }, trace, cancellationToken: Cancellation);
        await topology.Catalog.GetItemAsync(new() { Sku = sku }, trace, cancellationToken: Cancellation);
        await FailsAsync(StatusCode.NotFound, () => topology.Catalog.GetItemAsync(new() { Sku = sku + "-none" }, trace, cancellationToken: Cancellation).ResponseAsync);
        await topology.Fleet.ListNodesAsync(new(), trace, cancellationToken: Cancellation);
        await new LedgerService.LedgerServiceClient(topology.ControlPlane).GetTotalsAsync(new(), trace, cancellationToken: Cancellation);
        var rule = new TaxRule { Jurisdiction = jurisdiction, Category = "standard", RatePpm = 190_000 };
        return (await topology.Catalog.CreateTaxRuleAsync(new() { TaxRule = rule }, trace, cancellationToken: Cancellation)).TaxRule.Version;
    }

    private async Task WriteAndReadByRestAsync()
    {
        var trace = new TracedRequest();
        var other = sku + "-rest";
        var created = await SendAsync(trace, HttpMethod.Post, "/v1/items", new { sku = other, name = other, unitPrice = new { currencyCode = "EUR", minorUnits = 1 } });
        Assert.Equal(200, created);
        Assert.Equal(200, await SendAsync(trace, HttpMethod.Get, $"/v1/items/{other}"));
        Assert.Equal(200, await SendAsync(trace, HttpMethod.Get, "/v1/items?pageSize=1"));
        // Neither names the version that it means to change.
        Assert.InRange(await SendAsync(trace, HttpMethod.Put, $"/v1/items/{other}", new { name = other, unitPrice = new { currencyCode = "EUR", minorUnits = 2 } }), 200, 499);
        Assert.InRange(await SendAsync(trace, HttpMethod.Delete, $"/v1/items/{other}"), 200, 499);
        Assert.Equal(404, await SendAsync(trace, HttpMethod.Get, $"/v1/items/{other}-none"));
        Assert.Equal(404, await SendAsync(trace, HttpMethod.Get, "/nothing/here"));
        Assert.Equal(200, await SendAsync(trace, HttpMethod.Get, "/v1/fleet/nodes"));
        Assert.Equal(200, await SendAsync(trace, HttpMethod.Get, "/v1/ledger/totals"));
        Assert.Equal(200, await SendAsync(trace, HttpMethod.Get, "/openapi.json"));
    }

    /// <summary>A node of the test's own, which rejects the first resource that it is sent, and leaves.</summary>
    private async Task RejectAsNodeAsync()
    {
        var snapshots = new SnapshotService.SnapshotServiceClient(topology.ControlPlane);
        using var stream = snapshots.StreamSnapshot(new TracedRequest().Metadata, cancellationToken: Cancellation);
        await stream.RequestStream.WriteAsync(new() { Hello = new() { NodeId = "rejecting-node", SoftwareVersion = "test" } }, Cancellation);
        Update? update = null;
        while (update is null)
        {
            Assert.True(await stream.ResponseStream.MoveNext(Cancellation));
            update = stream.ResponseStream.Current.Update;
        }
        var reject = new Reject
        {
            Key = new() { Type = ResourceType.Item, Name = sku },
            Version = update.Version,
            Field = "unit_price",
            Code = "TEST",
            Text = "rejected by a test",
        };
        await stream.RequestStream.WriteAsync(
            new() { Ack = new() { Nonce = update.Nonce, Version = update.Version, Digest = update.Digest, Rejects = { reject } } }, Cancellation);
        await Eventually.HoldsAsync(
            "the reject in the fleet",
            async () => (await topology.Fleet.ListNodesAsync(new(), cancellationToken: Cancellation)).Nodes,
            nodes => nodes.Any(node => node.NodeId == "rejecting-node" && node.Rejects.Count == 1));
        await stream.RequestStream.CompleteAsync();
        await EndAsync(stream.ResponseStream);
    }

    private async Task QuoteAsync(DataPlaneNode node)
    {
        var trace = new TracedRequest();
        var basket = Basket(sku);
        await node.Pricing.QuoteAsync(basket, trace.Metadata, cancellationToken: Cancellation);
        await FailsAsync(StatusCode.NotFound, () => node.Pricing.QuoteAsync(Basket(sku + "-none"), trace.Metadata, cancellationToken: Cancellation).ResponseAsync);
        using (var stream = node.Pricing.QuoteStream(trace.Metadata, cancellationToken: Cancellation))
        {
            await stream.RequestStream.WriteAsync(new() { CorrelationId = "1", Quote = basket }, Cancellation);
            await stream.RequestStream.CompleteAsync();
            await EndAsync(stream.ResponseStream);
        }
        Assert.Equal(200, await SendAsync(trace, HttpMethod.Post, "/v1/quotes", JsonBasket(sku), node.Http));
        Assert.Equal(404, await SendAsync(trace, HttpMethod.Post, "/v1/quotes", JsonBasket(sku + "-none"), node.Http));
        Assert.Equal(400, await SendAsync(trace, HttpMethod.Post, "/v1/quotes", "no basket", node.Http));
        Assert.Equal(405, await SendAsync(trace, HttpMethod.Get, "/v1/quotes", null, node.Http));
        Assert.Equal(404, await SendAsync(trace, HttpMethod.Get, "/nothing/here", null, node.Http));
    }

    private QuoteRequest Basket(string item) => new() { CurrencyCode = "EUR", Jurisdiction = jurisdiction, Lines = { new QuoteLine { Sku = item, Quantity = 1 } } };

    private object JsonBasket(string item) => new { currencyCode = "EUR", jurisdiction, lines = new[] { new { sku = item, quantity = 1 } } };

    private async Task<int> SendAsync(TracedRequest trace, HttpMethod method, string path, object? body = null, Uri? server = null)
    {
        using var request = trace.Http(method, new Uri(server ?? topology.ControlPlaneHttp, path), body is null ? null : JsonContent.Create(body));
        using var response = await topology.Http.SendAsync(request, Cancellation);
        return (int)response.StatusCode;
    }

    private static async Task FailsAsync<T>(StatusCode code, Func<Task<T>> call) =>
        Assert.Equal(code, (await Assert.ThrowsAsync<RpcException>(call)).StatusCode);

    private static async Task EndAsync<T>(IAsyncStreamReader<T> answers)
    {
        while (await answers.MoveNext(Cancellation))
        {
        }
    }
}
