using System.Net;
using Grpc.AspNetCore.Server.Model;
using Hybrid.Telemetry.Otlp;
using Hybrid.Telemetry.Store;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.Telemetry;

/// <summary>Receives OTLP over gRPC on this machine's own address, and puts what comes into a store.</summary>
public sealed class TelemetryReceiver : IAsyncDisposable
{
    /// <summary>A larger request is answered with RESOURCE_EXHAUSTED.</summary>
    public const int MaxMessageBytes = 16 << 20;

    private readonly WebApplication _app;

    private TelemetryReceiver(WebApplication app, Uri endpoint)
    {
        _app = app;
        Endpoint = endpoint;
    }

    /// <summary>What to give to senders as <c>OTEL_EXPORTER_OTLP_ENDPOINT</c>: HTTP/2 without TLS.</summary>
    public Uri Endpoint { get; }

    /// <summary>Starts to listen.</summary>
    /// <param name="store">Where it goes.</param>
    /// <param name="port">0 for a free one.</param>
    /// <param name="cancellationToken">Gives up the start.</param>
    /// <exception cref="IOException">The port is taken.</exception>
    public static async Task<TelemetryReceiver> StartAsync(TelemetryStore store, int port = 0, CancellationToken cancellationToken = default)
    {
        // The empty builder takes no notice of the environment, which belongs to the program around it.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, port, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(store);
        builder.Services.AddSingleton<OtlpService>();
        builder.Services.AddGrpc(grpc => grpc.MaxReceiveMessageSize = MaxMessageBytes);
        builder.Services.AddSingleton<IServiceMethodProvider<OtlpService>, OtlpMethods>();

        var app = builder.Build();
        app.UseRouting();
        app.MapGrpcService<OtlpService>();
        try
        {
            await app.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await app.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        return new TelemetryReceiver(app, new Uri(addresses.Single()));
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(CancellationToken.None).ConfigureAwait(false);
        await _app.DisposeAsync().ConfigureAwait(false);
    }
}
