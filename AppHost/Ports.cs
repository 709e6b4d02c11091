using System.Net;
using System.Net.Sockets;

namespace Hybrid.AppHost;

internal sealed record NodePorts(int Http, int Grpc);

/// <summary>Every port of the topology. All are bound to loopback only.</summary>
internal sealed record Ports(
    int Postgres,
    int Kafka,
    int KafkaController,
    int ControlPlaneHttp,
    int ControlPlaneGrpc,
    IReadOnlyList<(string Node, NodePorts Ports)> DataPlanes,
    int MeteringHttp,
    int Telemetry)
{
    /// <summary>The documented ports: stable from start to start.</summary>
    public static Ports Documented { get; } = new(
        Postgres: 7432,
        Kafka: 7092,
        KafkaController: 7093,
        ControlPlaneHttp: 7100,
        ControlPlaneGrpc: 7101,
        DataPlanes: [("data-plane-1", new(7210, 7211)), ("data-plane-2", new(7220, 7221))],
        MeteringHttp: 7300,
        Telemetry: 7317);

    /// <summary>Ports that are free now.</summary>
    public static Ports Free()
    {
        // All listeners are held until all ports are known, so that none comes twice.
        var held = new List<TcpListener>();
        int Next()
        {
            var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            held.Add(listener);
            return ((IPEndPoint)listener.LocalEndpoint).Port;
        }
        try
        {
            return new Ports(
                Next(), Next(), Next(), Next(), Next(),
                [.. Documented.DataPlanes.Select(p => (p.Node, new NodePorts(Next(), Next())))],
                Next(), Next());
        }
        finally
        {
            held.ForEach(listener => listener.Stop());
        }
    }
}
