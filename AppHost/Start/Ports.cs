namespace Hybrid.AppHost.Start;

/// <summary>The ports of one service of ours.</summary>
internal sealed record ServicePorts(int Http, int Grpc);

/// <summary>The ports of Aspire: the dashboard's pages, its OTLP/gRPC receiver, and the resource service that the dashboard reads.</summary>
internal sealed record DashboardPorts(int Web, int Otlp, int ResourceService);

/// <summary>Every port of the topology. All are bound to loopback only.</summary>
internal sealed record Ports(
    int Postgres, int Kafka, int KafkaController, ServicePorts ControlPlane, IReadOnlyList<(string Node, ServicePorts Ports)> DataPlanes, int Metering, DashboardPorts Dashboard)
{
    /// <summary>The documented ports, stable from start to start.</summary>
    public static Ports Documented { get; } = new(
        Postgres: 7432,
        Kafka: 7092,
        KafkaController: 7093,
        ControlPlane: new(7100, 7101),
        DataPlanes: [("data-plane-1", new(7210, 7211)), ("data-plane-2", new(7220, 7221))],
        Metering: 7300,
        Dashboard: new(7400, 7317, 7401));

    /// <summary>
    /// Ports that are free now. They are below those that systems give to outgoing connections, so that none is taken by one before its
    /// server listens.
    /// </summary>
    public static Ports Free()
    {
        var chosen = new HashSet<int>();
        int Next()
        {
            var port = Random.Shared.Next(12_000, 32_768);
            return PortHolder.IsFree(port) && chosen.Add(port) ? port : Next();
        }
        return new Ports(
            Next(), Next(), Next(), new(Next(), Next()), [.. Documented.DataPlanes.Select(p => (p.Node, new ServicePorts(Next(), Next())))],
            Next(), new(Next(), Next(), Next()));
    }
}
