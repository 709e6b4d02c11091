using Hybrid.AppHost.Infrastructure;

namespace Hybrid.AppHost;

/// <summary>A service of ours and the names of its endpoints.</summary>
internal sealed record Service(IResourceBuilder<ExecutableResource> Resource, params string[] Endpoints)
{
    public string Name => Resource.Resource.Name;

    public string UrlOf(string endpoint) => Resource.GetEndpoint(endpoint).Url;
}

/// <summary>What was wired, for those that look at it from outside: scripts, the check, the tests.</summary>
internal sealed record Topology(InfrastructureServer Database, InfrastructureServer Kafka, Service ControlPlane, IReadOnlyList<Service> DataPlanes, Service Metering)
{
    public IEnumerable<Service> Services => [ControlPlane, .. DataPlanes, Metering];
}
