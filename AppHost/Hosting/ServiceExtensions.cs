using Hybrid.AppHost.Commands;
using Hybrid.AppHost.Running;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.AppHost.Hosting;

/// <summary>What the programs of the topology have in common: ours in Go and in Rust, and the servers of others.</summary>
internal static class ServiceExtensions
{
    /// <summary>Exit code by which our programs say that they refuse their settings.</summary>
    private const int RefusedSettings = 2;

    /// <summary>
    /// Adds the HTTP endpoint with health at <c>/readyz</c>. It is not proxied (docs/adr/0005): a proxy on loopback costs about as much
    /// as a quote.
    /// </summary>
    public static IResourceBuilder<T> AsService<T>(this IResourceBuilder<T> service, string icon, int httpPort, params (string Path, string DisplayText)[] pages)
        where T : ExecutableResource =>
        service
            .WithHttpEndpoint(httpPort, name: "http", env: "HTTP_PORT", isProxied: false)
            .WithUrls(context =>
            {
                if (context.GetEndpoint("http") is not { } endpoint)
                    return;
                context.Urls.RemoveAll(url => url.Endpoint?.EndpointName == "http");
                foreach (var (path, text) in pages)
                    context.Urls.Add(new ResourceUrlAnnotation { Url = endpoint.Url + path, DisplayText = text, Endpoint = endpoint });
            })
            .WithReadinessCheck()
            .WithRestartOnCrash(RefusedSettings)
            .WithFaultCommands()
            .WithIconName(icon);

    private static IResourceBuilder<T> WithReadinessCheck<T>(this IResourceBuilder<T> service)
        where T : ExecutableResource
    {
        var name = $"{service.Resource.Name}-readiness";
        service.ApplicationBuilder.Services.AddHealthChecks().AddCheck(name, new ReadinessCheck(service.GetEndpoint("http")));
        return service.WithHealthCheck(name);
    }

    /// <summary>Adds the gRPC endpoint, which is cleartext HTTP/2.</summary>
    public static IResourceBuilder<T> WithGrpcEndpoint<T>(this IResourceBuilder<T> service, int port)
        where T : ExecutableResource =>
        service
            .WithHttpEndpoint(port, name: "grpc", env: "GRPC_PORT", isProxied: false)
            .WithEndpoint("grpc", endpoint => endpoint.Transport = "http2")
            .WithUrlForEndpoint("grpc", url =>
            {
                url.DisplayText = "gRPC";
                url.DisplayLocation = UrlDisplayLocation.DetailsOnly;
            });

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
