using Confluent.Kafka;
using Grpc.Net.Client;
using Hybrid.Catalog.V1;
using Hybrid.Fleet.V1;
using Hybrid.Pricing.V1;
using Npgsql;

namespace Hybrid.Tests.Integration;

/// <summary>A data-plane replica as its users see it.</summary>
public sealed record DataPlaneNode(string Name, Uri Http, PricingService.PricingServiceClient Pricing, GrpcChannel Channel);

/// <summary>
/// The whole topology, started once for all tests that share it, by AppHost's own entry point, on free ports and a state folder
/// that is removed at the end.
/// </summary>
public sealed class RunningTopology : IAsyncLifetime
{
    public const string Collection = "topology";
    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(10);

    private readonly StateDirectory state = new();
    private readonly List<GrpcChannel> channels = [];

    public DistributedApplication App { get; private set; } = null!;

    public HttpClient Http { get; } = new();

    public Uri ControlPlaneHttp { get; private set; } = null!;

    public CatalogService.CatalogServiceClient Catalog { get; private set; } = null!;

    public FleetService.FleetServiceClient Fleet { get; private set; } = null!;

    public IReadOnlyList<DataPlaneNode> Nodes { get; private set; } = [];

    public NpgsqlDataSource Database { get; private set; } = null!;

    public string KafkaBootstrap { get; private set; } = "";

    /// <summary>The folder in which a resource keeps its own files.</summary>
    public string StateFolderOf(string resource) => Path.Combine(state.Path, resource);

    /// <summary>True when Kafka is only the in-memory stand-in, which loses everything when it ends.</summary>
    public bool KafkaIsStandIn { get; private set; }

    public async ValueTask InitializeAsync()
    {
        App = await TopologyStart.StartAsync(state.Path, StartPatience);
        ControlPlaneHttp = App.GetEndpoint("control-plane", "http");
        var controlPlane = Channel(App.GetEndpoint("control-plane", "grpc"));
        Catalog = new CatalogService.CatalogServiceClient(controlPlane);
        Fleet = new FleetService.FleetServiceClient(controlPlane);
        Nodes = [.. ((string[])["data-plane-1", "data-plane-2"]).Select(Node)];
        Database = NpgsqlDataSource.Create((await App.GetConnectionStringAsync("hybriddb"))!);
        KafkaBootstrap = (await App.GetConnectionStringAsync("kafka"))!;
        KafkaIsStandIn = (await SetUp.ToolsAsync()).Kafka.Distribution is null;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var channel in channels)
            channel.Dispose();
        Http.Dispose();
        if (Database is not null)
            await Database.DisposeAsync();
        if (App is not null)
            await App.DisposeAsync();
        state.Dispose();
    }

    private DataPlaneNode Node(string name)
    {
        var channel = Channel(App.GetEndpoint(name, "grpc"));
        return new DataPlaneNode(name, App.GetEndpoint(name, "http"), new PricingService.PricingServiceClient(channel), channel);
    }

    private GrpcChannel Channel(Uri address)
    {
        var channel = GrpcChannel.ForAddress(address);
        channels.Add(channel);
        return channel;
    }
}

[CollectionDefinition(RunningTopology.Collection)]
public sealed class SharedTopology : ICollectionFixture<RunningTopology>;
