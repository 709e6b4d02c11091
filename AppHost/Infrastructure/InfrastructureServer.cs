namespace Hybrid.AppHost.Infrastructure;

/// <summary>A server that the topology needs, whatever kind it is.</summary>
/// <param name="Connection">How resources reach it.</param>
/// <param name="Server">What they wait for.</param>
/// <param name="IsStandIn">True when it only stands in for the real thing, in memory.</param>
internal sealed record InfrastructureServer(
    IResourceBuilder<IResourceWithConnectionString> Connection, IResourceBuilder<IResource> Server, bool IsStandIn = false)
{
    /// <summary>Says at start which of the possible servers was chosen.</summary>
    public static void Announce(string what, string choice) => Console.WriteLine($"[infrastructure] {what}: {choice}");
}
