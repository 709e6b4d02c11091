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
public sealed record SystemAddresses(
    Uri ControlPlaneHttp, Uri ControlPlaneGrpc, IReadOnlyList<(string Name, Uri Http, Uri Grpc)> Nodes, string Database, string Kafka, bool KafkaIsStandIn);

/// <summary>A data-plane replica as its users see it.</summary>
public sealed record DataPlaneNode(string Name, Uri Http, Uri Grpc, PricingService.PricingServiceClient Pricing, GrpcChannel Channel);

/// <summary>The system under test, started once for all tests that share it, with a client for each of its faces.</summary>
public abstract class RunningSystem : IAsyncLifetime
{
    private readonly List<GrpcChannel> channels = [];

    public HttpClient Http { get; } = new();

    public Uri ControlPlaneHttp { get; private set; } = null!;

    public GrpcChannel ControlPlane { get; private set; } = null!;

    public CatalogService.CatalogServiceClient Catalog { get; private set; } = null!;

    public FleetService.FleetServiceClient Fleet { get; private set; } = null!;

    public IReadOnlyList<DataPlaneNode> Nodes { get; private set; } = [];

    public NpgsqlDataSource Database { get; private set; } = null!;

    public string KafkaBootstrap { get; private set; } = "";

    /// <summary>True when Kafka is only the in-memory stand-in, which loses everything when it ends.</summary>
    public bool KafkaIsStandIn { get; private set; }

    public async ValueTask InitializeAsync()
    {
        var addresses = await StartAsync();
        ControlPlaneHttp = addresses.ControlPlaneHttp;
        ControlPlane = Channel(addresses.ControlPlaneGrpc);
        Catalog = new CatalogService.CatalogServiceClient(ControlPlane);
        Fleet = new FleetService.FleetServiceClient(ControlPlane);
        Nodes = [.. addresses.Nodes.Select(node => Channel(node.Grpc) is var channel
            ? new DataPlaneNode(node.Name, node.Http, node.Grpc, new PricingService.PricingServiceClient(channel), channel) : null!)];
        // Without a pool: tests kill the server, and a connection that died with it would fail whichever test comes next.
        Database = NpgsqlDataSource.Create(addresses.Database + ";Pooling=false");
        KafkaBootstrap = addresses.Kafka;
        KafkaIsStandIn = addresses.KafkaIsStandIn;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var channel in channels)
            channel.Dispose();
        Http.Dispose();
        if (Database is not null)
            await Database.DisposeAsync();
        await StopAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>The last lines that a part of the system logged, for the report of a failed test.</summary>
    public abstract Task<IReadOnlyList<string>> LogTailAsync(string resource, int lines);

    protected abstract Task<SystemAddresses> StartAsync();

    protected abstract Task StopAsync();

    private GrpcChannel Channel(Uri address)
    {
        var channel = GrpcChannel.ForAddress(address);
        channels.Add(channel);
        return channel;
    }
}
