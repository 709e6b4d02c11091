using Grpc.Net.Client;
using Hybrid.Telemetry;
using Hybrid.Telemetry.Store;
using OpenTelemetry.Proto.Collector.Logs.V1;
using OpenTelemetry.Proto.Collector.Metrics.V1;
using OpenTelemetry.Proto.Collector.Trace.V1;

namespace Hybrid.Tests.Telemetry;

/// <summary>A receiver on a free port, a store of the test's own, and clients of the three services.</summary>
internal sealed class ReceiverFixture : IAsyncDisposable
{
    private readonly TelemetryReceiver receiver;

    private ReceiverFixture(TelemetryStore store, TelemetryReceiver receiver)
    {
        Store = store;
        this.receiver = receiver;
        Channel = GrpcChannel.ForAddress(receiver.Endpoint, new GrpcChannelOptions { MaxSendMessageSize = null });
        Traces = new TraceService.TraceServiceClient(Channel);
        Metrics = new MetricsService.MetricsServiceClient(Channel);
        Logs = new LogsService.LogsServiceClient(Channel);
    }

    public TelemetryStore Store { get; }

    public Uri Endpoint => receiver.Endpoint;

    public GrpcChannel Channel { get; }

    public TraceService.TraceServiceClient Traces { get; }

    public MetricsService.MetricsServiceClient Metrics { get; }

    public LogsService.LogsServiceClient Logs { get; }

    public static async Task<ReceiverFixture> StartAsync(TelemetryLimits? limits = null)
    {
        var store = new TelemetryStore(limits);
        return new ReceiverFixture(store, await TelemetryReceiver.StartAsync(store, cancellationToken: TestContext.Current.CancellationToken));
    }

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        await receiver.DisposeAsync();
    }
}
