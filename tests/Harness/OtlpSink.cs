using System.Collections.Concurrent;
using System.Net;
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

    /// <summary>Every point stream of every export, in order of arrival.</summary>
    public ConcurrentQueue<Received<Metric>> MetricPoints { get; } = new();

    public ConcurrentQueue<Received<LogRecord>> LogRecords { get; } = new();

    /// <summary>Value for OTEL_EXPORTER_OTLP_ENDPOINT.</summary>
    public Uri Endpoint { get; private set; } = null!;

    public async Task StartAsync()
    {
        await server.StartAsync();
        Endpoint = new Uri(server.Urls.Single());
    }

    public async ValueTask DisposeAsync() => await server.DisposeAsync();

    /// <summary>The spans of one trace, by its id in lower-case hexadecimal.</summary>
    public IReadOnlyList<Received<Span>> Trace(string traceId) => [.. Spans.Where(span => span.Signal.TraceIdText() == traceId)];

    private sealed class Traces(OtlpSink sink) : TraceService.TraceServiceBase
    {
        public override Task<ExportTraceServiceResponse> Export(ExportTraceServiceRequest request, ServerCallContext context)
        {
            foreach (var resource in request.ResourceSpans)
            {
                foreach (var span in resource.ScopeSpans.SelectMany(scope => scope.Spans))
                    sink.Spans.Enqueue(new Received<Span>(resource.Resource, span));
            }
            return Task.FromResult(new ExportTraceServiceResponse());
        }
    }

    private sealed class Metrics(OtlpSink sink) : MetricsService.MetricsServiceBase
    {
        public override Task<ExportMetricsServiceResponse> Export(ExportMetricsServiceRequest request, ServerCallContext context)
        {
            foreach (var resource in request.ResourceMetrics)
            {
                foreach (var metric in resource.ScopeMetrics.SelectMany(scope => scope.Metrics))
                    sink.MetricPoints.Enqueue(new Received<Metric>(resource.Resource, metric));
            }
            return Task.FromResult(new ExportMetricsServiceResponse());
        }
    }

    private sealed class Logs(OtlpSink sink) : LogsService.LogsServiceBase
    {
        public override Task<ExportLogsServiceResponse> Export(ExportLogsServiceRequest request, ServerCallContext context)
        {
            foreach (var resource in request.ResourceLogs)
            {
                foreach (var record in resource.ScopeLogs.SelectMany(scope => scope.LogRecords))
                    sink.LogRecords.Enqueue(new Received<LogRecord>(resource.Resource, record));
            }
            return Task.FromResult(new ExportLogsServiceResponse());
        }
    }
}

/// <summary>OTLP's identifiers and attributes as text.</summary>
public static class OtlpText
{
    public static string TraceIdText(this Span span) => Convert.ToHexStringLower(span.TraceId.Span);

    public static string SpanIdText(this Span span) => Convert.ToHexStringLower(span.SpanId.Span);

    public static string TraceIdText(this Span.Types.Link link) => Convert.ToHexStringLower(link.TraceId.Span);

    public static string TraceIdText(this LogRecord record) => Convert.ToHexStringLower(record.TraceId.Span);

    /// <summary>The value of an attribute as text; empty where there is none.</summary>
    public static string Text(this IEnumerable<KeyValue> attributes, string key) =>
        attributes.FirstOrDefault(a => a.Key == key)?.Value is not { } value ? ""
        : value.ValueCase == AnyValue.ValueOneofCase.IntValue ? $"{value.IntValue}" : value.StringValue;

    /// <summary>Whether there is an attribute with that name, or with one of several that are separated by <c>|</c>.</summary>
    public static bool Has(this IEnumerable<KeyValue> attributes, string keys) => keys.Split('|').Any(key => attributes.Any(a => a.Key == key));

    /// <summary>The spans below <paramref name="root"/> within the same trace.</summary>
    public static IEnumerable<Received<Span>> DescendantsOf(this IReadOnlyList<Received<Span>> trace, Span root)
    {
        var children = trace.Where(span => span.Signal.ParentSpanId == root.SpanId).ToList();
        return children.Concat(children.SelectMany(child => trace.DescendantsOf(child.Signal)));
    }
}
