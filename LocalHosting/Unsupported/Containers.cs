namespace Aspire.Hosting.ApplicationModel;

public enum ContainerLifetime
{
    Session,
    Persistent,
}

/// <summary>A container. There are none here; the type lets descriptions of them compile.</summary>
public class ContainerResource(string name, string? entrypoint = null)
    : Resource(name), IResourceWithEnvironment, IResourceWithArgs, IResourceWithEndpoints, IResourceWithWaitSupport
{
    public string? Entrypoint { get; set; } = entrypoint;
}

internal static class ContainersAreNotSupported
{
    public static NotSupportedException Exception(string method) => new(
        $"{method} needs a container, and local hosting runs none. Add the server as an executable, or use Aspire with a container engine.");
}
