using Hybrid.Telemetry.Model;
using Hybrid.Telemetry.Store;
using OpenTelemetry.Proto.Collector.Trace.V1;
using OpenTelemetry.Proto.Trace.V1;

namespace Hybrid.Telemetry.Otlp;

/// <summary>Takes requests with spans in.</summary>
internal static class SpanReader
{
    public static Rejections Read(ExportTraceServiceRequest request, TelemetryStore store)
    {
        var rejections = new Rejections();
        foreach (var resource in request.ResourceSpans)
        {
            var source = Values.ToSource(resource.Resource);
            foreach (var scope in resource.ScopeSpans)
                foreach (var span in scope.Spans)
                    if (Fault(span) is { } fault)
                        rejections.Add(fault);
                    else
                        store.Add(ToRecord(span, scope.Scope?.Name ?? "", source), span.CalculateSize());
        }

        store.RequestDone(rejections.Count);
        return rejections;
    }

    private static string? Fault(Span span)
    {
        if (!Values.IsId(span.TraceId, Values.TraceIdLength))
            return $"span '{span.Name}': trace_id must be 16 bytes that are not all zero";
        if (!Values.IsId(span.SpanId, Values.SpanIdLength))
            return $"span '{span.Name}': span_id must be 8 bytes that are not all zero";
        if (span.ParentSpanId.Length is not (0 or Values.SpanIdLength))
            return $"span '{span.Name}': parent_span_id must be empty or 8 bytes";
        return span.Links.Any(l => !Values.IsId(l.TraceId, Values.TraceIdLength) || !Values.IsId(l.SpanId, Values.SpanIdLength))
            ? $"span '{span.Name}': a link must have a trace_id of 16 bytes and a span_id of 8 bytes"
            : null;
    }

    private static SpanRecord ToRecord(Span span, string scope, TelemetrySource source) => new()
    {
        TraceId = Values.ToId(span.TraceId),
        SpanId = Values.ToId(span.SpanId),
        ParentSpanId = Values.IsId(span.ParentSpanId, Values.SpanIdLength) ? Values.ToId(span.ParentSpanId) : null,
        Name = span.Name,
        Kind = Enum.IsDefined((SpanKind)span.Kind) ? (SpanKind)span.Kind : SpanKind.Unspecified,
        Start = Values.ToTime(span.StartTimeUnixNano),
        Duration = Values.ToDuration(span.StartTimeUnixNano, span.EndTimeUnixNano),
        Status = span.Status?.Code switch
        {
            Status.Types.StatusCode.Ok => SpanStatus.Ok,
            Status.Types.StatusCode.Error => SpanStatus.Error,
            _ => SpanStatus.Unset,
        },
        StatusMessage = span.Status?.Message ?? "",
        TraceState = span.TraceState,
        Attributes = Values.ToAttributes(span.Attributes),
        Events = [.. span.Events.Select(e => new SpanEvent(Values.ToTime(e.TimeUnixNano), e.Name, Values.ToAttributes(e.Attributes)))],
        Links = [.. span.Links.Select(l => new SpanLink(Values.ToId(l.TraceId), Values.ToId(l.SpanId), Values.ToAttributes(l.Attributes)))],
        Scope = scope,
        Source = source,
    };
}
