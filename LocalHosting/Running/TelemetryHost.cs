using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.ConsoleView;
using Aspire.Hosting.Processes;
using Hybrid.Telemetry;
using Hybrid.Telemetry.Store;
using Microsoft.Extensions.Configuration;

namespace Aspire.Hosting.Running;

/// <summary>Receives the telemetry of the resources that send it to the host.</summary>
internal sealed class TelemetryHost(
    IResourceCollection resources, TelemetryStore store, OtlpSettings settings, IConfiguration configuration, HostLog log) : IAsyncDisposable
{
    private const int DefaultPort = 7317;

    private TelemetryReceiver? _receiver;

    /// <exception cref="DistributedApplicationException">The port is taken.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (!resources.Any(r => r.TryGetLastAnnotation<OtlpExporterAnnotation>(out _)))
            return;
        var port = configuration.GetValue<int?>("LocalHosting:TelemetryPort") ?? DefaultPort;
        if (port != 0 && !EndpointAllocator.IsFree(port))
            throw new DistributedApplicationException(PortHolder.TakenMessage(port, "the telemetry receiver"));
        _receiver = await TelemetryReceiver.StartAsync(store, port, cancellationToken).ConfigureAwait(false);
        settings.Endpoint = _receiver.Endpoint;
        log.Say($"telemetry is received at {_receiver.Endpoint.ToString().TrimEnd('/')} (OTLP over gRPC)");
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _receiver, null) is { } receiver)
            await receiver.DisposeAsync().ConfigureAwait(false);
    }
}
