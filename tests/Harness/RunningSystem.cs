using System.Text.Json.Nodes;
using Grpc.Net.Client;
using Hybrid.Catalog.V1;
using Hybrid.Fleet.V1;
using Hybrid.Pricing.V1;
using Npgsql;

namespace Hybrid.Tests.Harness;

/// <summary>Where a started system is.</summary>
/// <param name="Nodes">Name, HTTP and gRPC address of each data plane.</param>
/// <param name="Database">Connection string.</param>
/// <param name="Kafka">Bootstrap servers.</param>
/// <param name="KafkaIsStandIn">True when Kafka is only the in-memory stand-in, which loses everything when it ends.</param>
public sealed record SystemAddresses(
    Uri ControlPlaneHttp, Uri ControlPlaneGrpc, IReadOnlyList<(string Name, Uri Http, Uri Grpc)> Nodes, string Database, string Kafka, bool KafkaIsStandIn)
{
    /// <summary>What a host says in <c>endpoints.json</c>.</summary>
    public static SystemAddresses Of(JsonNode endpoints)
    {
        return new SystemAddresses(
            Url("control-plane", "http"), Url("control-plane", "grpc"),
            [.. ((string[])["data-plane-1", "data-plane-2"]).Select(node => (node, Url(node, "http"), Url(node, "grpc")))],
            (string)endpoints["connectionStrings"]!["hybriddb"]!, (string)endpoints["connectionStrings"]!["kafka"]!, (bool)endpoints["kafkaIsStandIn"]!);

        Uri Url(string resource, string endpoint) => new((string)endpoints["resources"]![resource]![endpoint]!);
    }
}

/// <summary>A data-plane replica as its users see it.</summary>
public sealed record DataPlaneNode(string Name, Uri Http, Uri Grpc) : IDisposable
{
    public GrpcChannel Channel { get; } = GrpcChannel.ForAddress(Grpc);
    public PricingService.PricingServiceClient Pricing => new(Channel);

    public void Dispose() => Channel.Dispose();
}

/// <summary>The system under test, started once for all tests that share it, with a client for each of its faces.</summary>
public abstract class RunningSystem : IAsyncLifetime
{
    private SystemAddresses addresses = null!;

    public HttpClient Http { get; } = new();
    public Uri ControlPlaneHttp => addresses.ControlPlaneHttp;

    /// <summary>Connection string, for programs that a test starts itself.</summary>
    public string DatabaseConnection => addresses.Database;
    public GrpcChannel ControlPlane { get; private set; } = null!;
    public CatalogService.CatalogServiceClient Catalog => new(ControlPlane);
    public FleetService.FleetServiceClient Fleet => new(ControlPlane);
    public IReadOnlyList<DataPlaneNode> Nodes { get; private set; } = [];
    public NpgsqlDataSource Database { get; private set; } = null!;
    public string KafkaBootstrap => addresses.Kafka;
    public bool KafkaIsStandIn => addresses.KafkaIsStandIn;

    public async ValueTask InitializeAsync()
    {
        addresses = await StartAsync();
        ControlPlane = GrpcChannel.ForAddress(addresses.ControlPlaneGrpc);
        Nodes = [.. addresses.Nodes.Select(node => new DataPlaneNode(node.Name, node.Http, node.Grpc))];
        // Without a pool: tests kill the server, and a connection that died with it would fail whichever test comes next.
        Database = NpgsqlDataSource.Create(addresses.Database + ";Pooling=false");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes)
            node.Dispose();
        ControlPlane?.Dispose();
        Database?.Dispose();
        Http.Dispose();
        await StopAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Waits until every node has applied a version of the catalog, and has rejected none of it.</summary>
    public Task AppliedAsync(long version) => Eventually.HoldsAsync(
        $"every node to have applied version {version}",
        async () => (await Fleet.ListNodesAsync(new())).Nodes,
        fleet => Nodes.All(node => fleet.Any(n => n.NodeId == node.Name && n.Connected && n.AppliedVersion >= version && n.Rejects.Count == 0)),
        retryOn: Eventually.IsNotYet);

    /// <summary>The last lines that a part of the system logged, for the report of a failed test.</summary>
    public abstract Task<IReadOnlyList<string>> LogTailAsync(string resource, int lines);

    protected abstract Task<SystemAddresses> StartAsync();

    protected abstract Task StopAsync();
}
