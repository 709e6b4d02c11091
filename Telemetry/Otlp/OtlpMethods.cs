using Google.Protobuf;
using Grpc.AspNetCore.Server.Model;
using Grpc.Core;
using Hybrid.Telemetry.Store;
using OpenTelemetry.Proto.Collector.Logs.V1;
using OpenTelemetry.Proto.Collector.Metrics.V1;
using OpenTelemetry.Proto.Collector.Trace.V1;

namespace Hybrid.Telemetry.Otlp;

/// <summary>The three services of the protocol over one store.</summary>
internal sealed class OtlpService(TelemetryStore store)
{
    public ExportTraceServiceResponse Export(ExportTraceServiceRequest request)
    {
        var rejections = SpanReader.Read(request, store);
        return rejections.Count == 0 ? new() : new()
        {
            PartialSuccess = new() { RejectedSpans = rejections.Count, ErrorMessage = rejections.Message },
        };
    }

    public ExportMetricsServiceResponse Export(ExportMetricsServiceRequest request)
    {
        var rejections = MetricReader.Read(request, store);
        return rejections.Count == 0 ? new() : new()
        {
            PartialSuccess = new() { RejectedDataPoints = rejections.Count, ErrorMessage = rejections.Message },
        };
    }

    public ExportLogsServiceResponse Export(ExportLogsServiceRequest request)
    {
        var rejections = LogReader.Read(request, store);
        return rejections.Count == 0 ? new() : new()
        {
            PartialSuccess = new() { RejectedLogRecords = rejections.Count, ErrorMessage = rejections.Message },
        };
    }
}

/// <summary>Binds the services by hand, because the generated binding answers bytes that are no message with UNKNOWN.</summary>
internal sealed class OtlpMethods : IServiceMethodProvider<OtlpService>
{
    public void OnServiceMethodDiscovery(ServiceMethodProviderContext<OtlpService> context)
    {
        Add(context, "trace.v1.TraceService", ExportTraceServiceRequest.Parser, ExportTraceServiceResponse.Parser, (s, r) => s.Export(r));
        Add(context, "metrics.v1.MetricsService", ExportMetricsServiceRequest.Parser, ExportMetricsServiceResponse.Parser, (s, r) => s.Export(r));
        Add(context, "logs.v1.LogsService", ExportLogsServiceRequest.Parser, ExportLogsServiceResponse.Parser, (s, r) => s.Export(r));
    }

    private static void Add<TRequest, TResponse>(
        ServiceMethodProviderContext<OtlpService> context,
        string service,
        MessageParser<TRequest> requests,
        MessageParser<TResponse> responses,
        Func<OtlpService, TRequest, TResponse> export)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse> => context.AddUnaryMethod(
            new Method<TRequest, TResponse>(
                MethodType.Unary, $"opentelemetry.proto.collector.{service}", "Export", MarshallerOf(requests), MarshallerOf(responses)),
            [],
            (receiver, request, _) => Task.FromResult(export(receiver, request)));

    private static Marshaller<T> MarshallerOf<T>(MessageParser<T> parser)
        where T : class, IMessage<T> => new(
            (message, context) => context.Complete(message.ToByteArray()),
            context =>
            {
                try
                {
                    return parser.ParseFrom(context.PayloadAsReadOnlySequence());
                }
                catch (InvalidProtocolBufferException e)
                {
                    throw new RpcException(new Status(StatusCode.InvalidArgument, $"The request is not a valid message: {e.Message}"));
                }
            });
}
