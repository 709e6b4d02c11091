namespace Hybrid.Telemetry.Model;

public enum SpanKind
{
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

public enum SpanStatus
{
    Unset,
    Ok,
    Error,
}

/// <summary>One timed piece of work.</summary>
public sealed record SpanRecord
{
    /// <summary>32 lower-case hexadecimal digits.</summary>
    public required string TraceId { get; init; }

    /// <summary>16 lower-case hexadecimal digits.</summary>
    public required string SpanId { get; init; }

    /// <summary>Null in the root of a trace.</summary>
    public string? ParentSpanId { get; init; }

    public required string Name { get; init; }

    public SpanKind Kind { get; init; }

    public DateTimeOffset Start { get; init; }

    public TimeSpan Duration { get; init; }

    public SpanStatus Status { get; init; }

    public string StatusMessage { get; init; } = "";

    public string TraceState { get; init; } = "";

    public AttributeCollection Attributes { get; init; } = AttributeCollection.Empty;

    public IReadOnlyList<SpanEvent> Events { get; init; } = [];

    /// <summary>Spans that this one follows from without being their child.</summary>
    public IReadOnlyList<SpanLink> Links { get; init; } = [];

    /// <summary>The library or the part of the program that made it.</summary>
    public string Scope { get; init; } = "";

    public required TelemetrySource Source { get; init; }
}

/// <summary>Something that happened during a span.</summary>
public sealed record SpanEvent(DateTimeOffset Time, string Name, AttributeCollection Attributes);

/// <summary>Points to a span of the same trace or of another.</summary>
public sealed record SpanLink(string TraceId, string SpanId, AttributeCollection Attributes);
