using System.Net.Http.Json;
using System.Text;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Hybrid.Catalog.V1;
using Hybrid.Fleet.V1;
using Hybrid.Pricing.V1;
using Hybrid.Snapshot.V1;
using Hybrid.Usage.V1;
using static System.Net.Http.HttpMethod;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>Makes every service do once what it has signals for: reads, writes, quotes, errors of each kind, and the loop to the ledger.</summary>
internal sealed class SignalDrive(RunningTopology topology, string jurisdiction, string sku)
{
    /// <summary>Calls to the control plane, each with a trace of its own.</summary>
    private readonly CallInvoker controlPlane = Traced(topology.ControlPlane);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async Task RunAsync()
    {
        var version = await WriteAndReadByGrpcAsync();
        await WriteAndReadByRestAsync();
        await RejectAsNodeAsync();
        await topology.AppliedAsync(version);
        foreach (var node in topology.Nodes)
            await QuoteAsync(node);
        foreach (var topic in (string[])["hybrid.quotes.v1", "hybrid.usage.v1"])
            await EventWriter.ProduceAsync(topology.KafkaBootstrap, topic, partition: 0, Encoding.UTF8.GetBytes("poison"), new TracedRequest().Headers);
        await Settlement.WaitAsync(topology);
    }

    private async Task<long> WriteAndReadByGrpcAsync()
    {
        var catalog = new CatalogService.CatalogServiceClient(controlPlane);
        var item = new Item { Sku = sku, Name = sku, UnitPrice = new() { CurrencyCode = "EUR", MinorUnits = 100 } };
        await catalog.CreateItemAsync(new() { Item = item }, cancellationToken: Cancellation);
        await catalog.GetItemAsync(new() { Sku = sku }, cancellationToken: Cancellation);
        await IsNotFoundAsync(catalog.GetItemAsync(new() { Sku = sku + "-none" }, cancellationToken: Cancellation).ResponseAsync);
        await new FleetService.FleetServiceClient(controlPlane).ListNodesAsync(new(), cancellationToken: Cancellation);
        await new LedgerService.LedgerServiceClient(controlPlane).GetTotalsAsync(new(), cancellationToken: Cancellation);
        var rule = new TaxRule { Jurisdiction = jurisdiction, Category = "standard", RatePpm = 190_000 };
        return (await catalog.CreateTaxRuleAsync(new() { TaxRule = rule }, cancellationToken: Cancellation)).TaxRule.Version;
    }

    private Task WriteAndReadByRestAsync()
    {
        var other = sku + "-rest";
        var item = new { sku = other, name = other, unitPrice = new { currencyCode = "EUR", minorUnits = 1 } };
        return SendAsync(
            topology.ControlPlaneHttp,
            (Post, "/v1/items", item, 200),
            (Get, $"/v1/items/{other}", null, 200),
            (Get, "/v1/items?pageSize=1", null, 200),
            // Neither names the version that it means to change.
            (Put, $"/v1/items/{other}", item, 400),
            (Delete, $"/v1/items/{other}", null, 400),
            (Get, $"/v1/items/{other}-none", null, 404),
            (Get, "/nothing/here", null, 404),
            (Get, "/v1/fleet/nodes", null, 200),
            (Get, "/v1/ledger/totals", null, 200),
            (Get, "/openapi.json", null, 200));
    }

    /// <summary>A node of the test's own, which rejects the first item that it is sent, and leaves.</summary>
    private async Task RejectAsNodeAsync()
    {
        using var stream = new SnapshotService.SnapshotServiceClient(controlPlane).StreamSnapshot(cancellationToken: Cancellation);
        await stream.RequestStream.WriteAsync(new() { Hello = new() { NodeId = "rejecting-node", SoftwareVersion = "test" } }, Cancellation);
        Update update;
        Item? rejected = null;
        do
        {
            Assert.True(await stream.ResponseStream.MoveNext(Cancellation));
            update = stream.ResponseStream.Current.Update ?? new() { MoreFollows = true };
            rejected ??= update.Upserts.FirstOrDefault(resource => resource.Item is not null)?.Item;
        }
        while (update.MoreFollows);
        var reject = new Reject { Key = new() { Type = ResourceType.Item, Name = rejected!.Sku }, Version = rejected.Version, Field = "unit_price", Code = "TEST", Text = "rejected by a test" };
        await stream.RequestStream.WriteAsync(
            new() { Ack = new() { Nonce = update.Nonce, Version = update.Version, Digest = update.Digest, Rejects = { reject } } }, Cancellation);
        await stream.RequestStream.CompleteAsync();
        await EndAsync(stream.ResponseStream);
    }

    private async Task QuoteAsync(DataPlaneNode node)
    {
        var pricing = new PricingService.PricingServiceClient(Traced(node.Channel));
        await pricing.QuoteAsync(Basket(sku), cancellationToken: Cancellation);
        await IsNotFoundAsync(pricing.QuoteAsync(Basket(sku + "-none"), cancellationToken: Cancellation).ResponseAsync);
        using (var stream = pricing.QuoteStream(cancellationToken: Cancellation))
        {
            await stream.RequestStream.WriteAsync(new() { CorrelationId = "1", Quote = Basket(sku) }, Cancellation);
            await stream.RequestStream.CompleteAsync();
            await EndAsync(stream.ResponseStream);
        }
        await SendAsync(
            node.Http,
            (Post, "/v1/quotes", JsonBasket(sku), 200),
            (Post, "/v1/quotes", JsonBasket(sku + "-none"), 404),
            (Post, "/v1/quotes", "no basket", 400),
            (Get, "/v1/quotes", null, 405),
            (Get, "/nothing/here", null, 404));
    }

    private QuoteRequest Basket(string item) => new() { CurrencyCode = "EUR", Jurisdiction = jurisdiction, Lines = { new QuoteLine { Sku = item, Quantity = 1 } } };

    private object JsonBasket(string item) => new { currencyCode = "EUR", jurisdiction, lines = new[] { new { sku = item, quantity = 1 } } };

    private static CallInvoker Traced(ChannelBase channel) => channel.Intercept(_ => new TracedRequest().Metadata);

    private async Task SendAsync(Uri server, params (HttpMethod Method, string Path, object? Body, int Status)[] requests)
    {
        foreach (var (method, path, body, status) in requests)
        {
            using var response = await new TracedRequest().SendAsync(topology.Http, method, new Uri(server, path), body is null ? null : JsonContent.Create(body));
            Assert.True((int)response.StatusCode == status, $"{method} {path}: {(int)response.StatusCode}");
        }
    }

    private static async Task IsNotFoundAsync(Task call) => Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => call)).StatusCode);

    private static async Task EndAsync<T>(IAsyncStreamReader<T> answers)
    {
        while (await answers.MoveNext(Cancellation))
        {
        }
    }
}
