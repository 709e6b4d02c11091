namespace Hybrid.Telemetry.Model;

/// <summary>One log record.</summary>
public sealed record LogEntry
{
    /// <summary>When it happened, or else when it was seen.</summary>
    public DateTimeOffset Time { get; init; }

    /// <summary>1 to 24, as OpenTelemetry counts: 5 debug, 9 info, 13 warning, 17 error, 21 fatal; 0 unknown.</summary>
    public int Severity { get; init; }

    public string SeverityText { get; init; } = "";

    /// <summary>The message as a text.</summary>
    public string Body { get; init; } = "";

    public string EventName { get; init; } = "";

    public AttributeCollection Attributes { get; init; } = AttributeCollection.Empty;

    /// <summary>Null when the record belongs to no trace.</summary>
    public string? TraceId { get; init; }

    public string? SpanId { get; init; }

    public string Scope { get; init; } = "";

    public required TelemetrySource Source { get; init; }
}
