using System.Net;
using Confluent.Kafka;

namespace Hybrid.KafkaStandIn;

/// <summary>librdkafka's mock cluster. It lives in the client that asked for it, and picks its port itself.</summary>
internal sealed class MockCluster : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly IAdminClient owner;

    public MockCluster()
    {
        var config = new AdminClientConfig { BootstrapServers = "replaced-by-the-mock:1" };
        config.Set("test.mock.num.brokers", "1");
        owner = new AdminClientBuilder(config).SetLogHandler((_, _) => { }).Build();
        var broker = owner.GetMetadata(Patience).Brokers[0];
        Bootstrap = new IPEndPoint(IPAddress.Loopback, broker.Port);
    }

    public IPEndPoint Bootstrap { get; }

    public void Dispose() => owner.Dispose();
}
