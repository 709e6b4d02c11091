using System.Net;
using System.Net.Sockets;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Start;

/// <summary>The ports of a start.</summary>
public sealed class PortsTests
{
    [Fact]
    public void Documented_ports_differ() => AssertDistinct(Ports.Documented);

    [Fact]
    public void Free_ports_differ() => AssertDistinct(Ports.Free());

    [Fact]
    public void A_port_that_is_taken_is_named_with_its_holder()
    {
        using var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;

        var refused = Assert.Throws<SetupException>(() => PortHolder.EnsureFree(port, "kafka"));

        Assert.Contains($"Port {port} of kafka is taken", refused.Message);
        Assert.Contains("--random-ports", refused.Message);
        if (OperatingSystem.IsLinux())
            Assert.Contains($"process {Environment.ProcessId} (", refused.Message);
    }

    [Fact]
    public void A_port_that_was_given_up_is_free()
    {
        var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;
        holder.Dispose();
        PortHolder.EnsureFree(port, "kafka");
    }

    private static void AssertDistinct(Ports ports)
    {
        int[] all =
        [
            ports.Postgres, ports.Kafka, ports.KafkaController, ports.ControlPlane.Http, ports.ControlPlane.Grpc,
            .. ports.DataPlanes.SelectMany(p => (int[])[p.Ports.Http, p.Ports.Grpc]),
            ports.Metering, ports.Dashboard.Web, ports.Dashboard.Otlp, ports.Dashboard.ResourceService,
        ];
        Assert.Equal(all.Distinct(), all);
    }
}
