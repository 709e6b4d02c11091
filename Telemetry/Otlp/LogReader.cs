using Hybrid.Telemetry.Model;
using Hybrid.Telemetry.Store;
using OpenTelemetry.Proto.Collector.Logs.V1;
using OpenTelemetry.Proto.Logs.V1;

namespace Hybrid.Telemetry.Otlp;

/// <summary>Takes requests with log records in.</summary>
internal static class LogReader
{
    public static Rejections Read(ExportLogsServiceRequest request, TelemetryStore store)
    {
        var rejections = new Rejections();
        foreach (var resource in request.ResourceLogs)
        {
            var source = Values.ToSource(resource.Resource);
            foreach (var scope in resource.ScopeLogs)
                foreach (var record in scope.LogRecords)
                    if (Fault(record) is { } fault)
                        rejections.Add(fault);
                    else
                        store.Add(ToEntry(record, scope.Scope?.Name ?? "", source), record.CalculateSize());
        }

        store.RequestDone(rejections.Count);
        return rejections;
    }

    private static string? Fault(LogRecord record)
    {
        if (record.TraceId.Length is not (0 or Values.TraceIdLength))
            return "log record: trace_id must be empty or 16 bytes";
        return record.SpanId.Length is not (0 or Values.SpanIdLength) ? "log record: span_id must be empty or 8 bytes" : null;
    }

    private static LogEntry ToEntry(LogRecord record, string scope, TelemetrySource source) => new()
    {
        Time = Values.ToTime(record.TimeUnixNano != 0 ? record.TimeUnixNano : record.ObservedTimeUnixNano),
        Severity = (int)record.SeverityNumber,
        SeverityText = record.SeverityText,
        Body = AttributeCollection.ToText(Values.ToObject(record.Body)),
        EventName = record.EventName,
        Attributes = Values.ToAttributes(record.Attributes),
        TraceId = Values.IsId(record.TraceId, Values.TraceIdLength) ? Values.ToId(record.TraceId) : null,
        SpanId = Values.IsId(record.SpanId, Values.SpanIdLength) ? Values.ToId(record.SpanId) : null,
        Scope = scope,
        Source = source,
    };
}
