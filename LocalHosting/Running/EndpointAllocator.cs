using System.Net;
using System.Net.Sockets;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Processes;

namespace Aspire.Hosting.Running;

/// <summary>Gives every endpoint its port before anything starts.</summary>
internal static class EndpointAllocator
{
    // Below the range from which systems take ports for outgoing connections, so that none of those gets in between.
    private const int LowestFreePort = 20_000;
    private const int HighestFreePort = 32_000;

    /// <summary>The URLs of an endpoint, one for each replica of its resource.</summary>
    public static IEnumerable<string> UrlsOf(EndpointAnnotation endpoint)
    {
        var first = endpoint.AllocatedEndpoint ?? throw new InvalidOperationException($"Endpoint '{endpoint.Name}' has no port yet.");
        return endpoint.ReplicaPorts is { } ports
            ? ports.Select(port => new AllocatedEndpoint(endpoint, first.Address, port).UriString)
            : [first.UriString];
    }

    /// <exception cref="DistributedApplicationException">Endpoints contradict themselves or each other, or a port is taken.</exception>
    public static void Allocate(IEnumerable<IResource> resources)
    {
        var endpoints = resources.OfType<IResourceWithEndpoints>()
            .SelectMany(r => r.Annotations.OfType<EndpointAnnotation>().Select(e => (Resource: (IResource)r, Endpoint: e)))
            .ToArray();
        var owners = new Dictionary<int, string>();
        foreach (var (resource, endpoint) in endpoints)
        {
            if (FixedPort(resource, endpoint) is not { } port)
                continue;
            if (!owners.TryAdd(port, $"{resource.Name}/{endpoint.Name}"))
                throw new DistributedApplicationException($"{owners[port]} and {resource.Name}/{endpoint.Name} both want port {port}.");
            if (endpoint.Protocol == ProtocolType.Tcp && !IsFree(port))
                throw new DistributedApplicationException(PortHolder.TakenMessage(port, $"{resource.Name} ({endpoint.Name})"));
        }

        foreach (var (resource, endpoint) in endpoints)
        {
            var replicas = resource.TryGetLastAnnotation<ReplicaAnnotation>(out var r) ? r.Replicas : 1;
            var ports = new int[replicas];
            for (var i = 0; i < replicas; i++)
                ports[i] = i == 0 && FixedPort(resource, endpoint) is { } port ? port : FreePort(owners, $"{resource.Name}/{endpoint.Name}");
            endpoint.Port = endpoint.TargetPort = ports[0];
            endpoint.ReplicaPorts = ports;
            endpoint.AllocatedEndpoint = new AllocatedEndpoint(endpoint, AddressOf(endpoint.TargetHost), ports[0]);
        }
    }

    /// <summary>Whether nobody listens on the port, neither on this machine's own address nor on all.</summary>
    public static bool IsFree(int port)
    {
        foreach (var address in new[] { IPAddress.Loopback, IPAddress.Any })
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(address, port));
                socket.Listen();
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                return false;
            }
        }

        return true;
    }

    private static int? FixedPort(IResource resource, EndpointAnnotation endpoint)
    {
        if (endpoint.Port is { } port && endpoint.TargetPort is { } target && port != target)
            throw new DistributedApplicationException(
                $"Endpoint '{endpoint.Name}' of '{resource.Name}' has port {port} and target port {target}: "
                + "nothing stands between the two here, so give one of them, or the same number twice.");
        return endpoint.Port ?? endpoint.TargetPort;
    }

    private static int FreePort(Dictionary<int, string> owners, string owner)
    {
        for (var attempt = 0; attempt < 10_000; attempt++)
        {
            var port = Random.Shared.Next(LowestFreePort, HighestFreePort);
            if (!owners.ContainsKey(port) && IsFree(port))
            {
                owners[port] = owner;
                return port;
            }
        }

        throw new DistributedApplicationException($"There is no free port between {LowestFreePort} and {HighestFreePort} for {owner}.");
    }

    private static string AddressOf(string host) => host is "" or "*" or "+" or "0.0.0.0" or "::" or "[::]" ? "localhost" : host;
}
