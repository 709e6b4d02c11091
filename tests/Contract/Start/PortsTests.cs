using System.Net;
using System.Net.Sockets;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Start;

/// <summary>The ports of a start.</summary>
public sealed class PortsTests
{
    [Fact]
    public void A_port_that_is_taken_is_named_with_its_holder_until_it_is_given_up()
    {
        using var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;

        var refused = Assert.Throws<SetupException>(() => PortHolder.EnsureFree(port, "kafka"));
        Assert.Contains($"Port {port} of kafka is taken", refused.Message);
        Assert.Contains("--random-ports", refused.Message);
        if (OperatingSystem.IsLinux())
            Assert.Contains($"process {Environment.ProcessId} (", refused.Message);

        holder.Stop();
        PortHolder.EnsureFree(port, "kafka");
    }
}
