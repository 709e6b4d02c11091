using Hybrid.AppHost.Commands;
using Hybrid.AppHost.Running;
using Hybrid.Toolchain;
using Microsoft.Extensions.Configuration;

namespace Aspire.Hosting;

/// <summary>What the servers of others, Postgres and Kafka, have in common.</summary>
internal static class ServerExtensions
{
    /// <summary>Refers to a server that runs elsewhere.</summary>
    public static IResourceBuilder<IResourceWithConnectionString> AddExternal(this IDistributedApplicationBuilder builder, string name) =>
        builder.AddConnectionString(name);

    /// <summary>Gives a server its look in the dashboard, the commands that harm it, and a restart when it crashes.</summary>
    public static IResourceBuilder<T> AsServer<T>(this IResourceBuilder<T> server, string icon)
        where T : class, IResourceWithEndpoints =>
        server.WithIconName(icon).WithRestartOnCrash().WithFaultCommands().WithUrls(context =>
        {
            // A port that speaks no HTTP is no link.
            foreach (var url in context.Urls)
                url.DisplayLocation = UrlDisplayLocation.DetailsOnly;
        });
}

/// <summary>Which image a container runs.</summary>
internal static class ContainerImage
{
    /// <summary>
    /// The image of <c>Hybrid:Images:{server}</c>, else <paramref name="pinned"/>, in its two parts. A colon in the registry's host
    /// separates its port.
    /// </summary>
    public static (string Image, string Tag) Of(IConfiguration configuration, string server, string pinned)
    {
        var name = configuration[$"Hybrid:Images:{server}"] is { Length: > 0 } own ? own : pinned;
        var colon = name.LastIndexOf(':');
        return colon > name.LastIndexOf('/')
            ? (name[..colon], name[(colon + 1)..])
            : throw new SetupException($"Hybrid:Images:{server} is {name}; name an image with its tag.");
    }
}
