using System.Collections.Concurrent;
using System.Net;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Proto.Collector.Logs.V1;
using OpenTelemetry.Proto.Collector.Metrics.V1;
using OpenTelemetry.Proto.Collector.Trace.V1;
using OpenTelemetry.Proto.Common.V1;
using OpenTelemetry.Proto.Logs.V1;
using OpenTelemetry.Proto.Metrics.V1;
using OpenTelemetry.Proto.Trace.V1;
using OtlpResource = OpenTelemetry.Proto.Resource.V1.Resource;

namespace Hybrid.Tests.Harness;

/// <summary>A received signal and the attributes of the process that sent it.</summary>
public sealed record Received<T>(OtlpResource Resource, T Signal)
{
    public string Service => Resource.Attributes.Text("service.name");

    /// <summary>Tells the processes of one service from each other.</summary>
    public string Instance => Resource.Attributes.Text("service.instance.id");
}

/// <summary>An OTLP/gRPC receiver that keeps what it is sent: all three signals, for tests to ask.</summary>
public sealed class OtlpSink : IAsyncDisposable
{
    private readonly WebApplication server;

    public OtlpSink()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddGrpc(grpc => grpc.MaxReceiveMessageSize = null);
        builder.Services.AddSingleton(this);
        server = builder.Build();
        server.MapGrpcService<Traces>();
        server.MapGrpcService<Metrics>();
        server.MapGrpcService<Logs>();
    }

    public ConcurrentQueue<Received<Span>> Spans { get; } = new();
    public ConcurrentQueue<Received<Metric>> MetricPoints { get; } = new();
    public ConcurrentQueue<Received<LogRecord>> LogRecords { get; } = new();

    /// <summary>Value for OTEL_EXPORTER_OTLP_ENDPOINT, once it is started.</summary>
    public Uri Endpoint => new(server.Urls.Single());

    public Task StartAsync() => server.StartAsync();
    public ValueTask DisposeAsync() => server.DisposeAsync();

    /// <summary>The spans of one trace, by its id in lower-case hexadecimal.</summary>
    public IReadOnlyList<Received<Span>> Trace(string traceId) => [.. Spans.Where(span => span.Signal.TraceId.Hex() == traceId)];

    private static void Keep<T>(ConcurrentQueue<Received<T>> kept, OtlpResource resource, IEnumerable<T> signals)
    {
        foreach (var signal in signals)
            kept.Enqueue(new Received<T>(resource, signal));
    }

    private sealed class Traces(OtlpSink sink) : TraceService.TraceServiceBase
    {
        public override Task<ExportTraceServiceResponse> Export(ExportTraceServiceRequest request, ServerCallContext context)
        {
            foreach (var sender in request.ResourceSpans)
                Keep(sink.Spans, sender.Resource, sender.ScopeSpans.SelectMany(scope => scope.Spans));
            return Task.FromResult(new ExportTraceServiceResponse());
        }
    }

    private sealed class Metrics(OtlpSink sink) : MetricsService.MetricsServiceBase
    {
        public override Task<ExportMetricsServiceResponse> Export(ExportMetricsServiceRequest request, ServerCallContext context)
        {
            foreach (var sender in request.ResourceMetrics)
                Keep(sink.MetricPoints, sender.Resource, sender.ScopeMetrics.SelectMany(scope => scope.Metrics));
            return Task.FromResult(new ExportMetricsServiceResponse());
        }
    }

    private sealed class Logs(OtlpSink sink) : LogsService.LogsServiceBase
    {
        public override Task<ExportLogsServiceResponse> Export(ExportLogsServiceRequest request, ServerCallContext context)
        {
            foreach (var sender in request.ResourceLogs)
                Keep(sink.LogRecords, sender.Resource, sender.ScopeLogs.SelectMany(scope => scope.LogRecords));
            return Task.FromResult(new ExportLogsServiceResponse());
        }
    }
}

/// <summary>OTLP's identifiers and attributes as text.</summary>
public static class OtlpText
{
    /// <summary>The id of a trace or span in lower-case hexadecimal.</summary>
    public static string Hex(this ByteString id) => Convert.ToHexStringLower(id.Span);

    /// <summary>The value of an attribute that is a text; empty where there is none.</summary>
    public static string Text(this IEnumerable<KeyValue> attributes, string key) => attributes.FirstOrDefault(a => a.Key == key)?.Value?.StringValue ?? "";

    /// <summary>Whether there is an attribute with that name, or with one of several that are separated by <c>|</c>.</summary>
    public static bool Has(this IEnumerable<KeyValue> attributes, string keys) => keys.Split('|').Any(key => attributes.Any(a => a.Key == key));

    /// <summary>The spans below <paramref name="root"/> within the same trace.</summary>
    public static IEnumerable<Received<Span>> DescendantsOf(this IReadOnlyList<Received<Span>> trace, Span root)
    {
        var children = trace.Where(span => span.Signal.ParentSpanId == root.SpanId).ToList();
        return children.Concat(children.SelectMany(child => trace.DescendantsOf(child.Signal)));
    }
}
