using Hybrid.AppHost.Commands;
using Hybrid.AppHost.Running;
using Hybrid.AppHost.Start;

namespace Hybrid.AppHost.Hosting;

/// <summary>What the services of this system, in Go and in Rust, have in common.</summary>
internal static class ServiceExtensions
{
    public const string Http = "http";
    public const string Grpc = "grpc";

    /// <summary>Exit code by which our programs say that they refuse their settings.</summary>
    private const int RefusedSettings = 2;

    /// <summary>
    /// Adds the HTTP endpoint with health at <c>/readyz</c>. It is not proxied (docs/adr/0005): a proxy on loopback costs about as much
    /// as a quote.
    /// </summary>
    public static IResourceBuilder<T> AsService<T>(this IResourceBuilder<T> service, string icon, int httpPort, params (string Path, string DisplayText)[] pages)
        where T : ExecutableResource =>
        service
            .WithHttpEndpoint(httpPort, name: Http, env: "HTTP_PORT", isProxied: false)
            .WithUrls(context =>
            {
                if (context.GetEndpoint(Http) is not { } endpoint)
                    return;
                context.Urls.RemoveAll(url => url.Endpoint?.EndpointName == Http);
                foreach (var (path, text) in pages)
                    context.Urls.Add(new ResourceUrlAnnotation { Url = endpoint.Url + path, DisplayText = text, Endpoint = endpoint });
            })
            .WithHttpHealthCheck("/readyz", endpointName: Http)
            .WithRestartOnCrash(RefusedSettings)
            .WithFaultCommands()
            .WithIconName(icon);

    /// <summary>Adds the gRPC endpoint, which is cleartext HTTP/2.</summary>
    public static IResourceBuilder<T> WithGrpcEndpoint<T>(this IResourceBuilder<T> service, int port)
        where T : ExecutableResource =>
        service
            .WithHttpEndpoint(port, name: Grpc, env: "GRPC_PORT", isProxied: false)
            .WithEndpoint(Grpc, endpoint => endpoint.Transport = "http2")
            .WithUrlForEndpoint(Grpc, url =>
            {
                url.DisplayText = "gRPC";
                url.DisplayLocation = UrlDisplayLocation.DetailsOnly;
            });
}
