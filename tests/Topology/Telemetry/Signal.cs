using System.Text.RegularExpressions;
using SpanKind = OpenTelemetry.Proto.Trace.V1.Span.Types.SpanKind;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>The type of a metric as OTLP has it.</summary>
public enum MetricType
{
    /// <summary>A value as it is now.</summary>
    Gauge,

    /// <summary>A sum that only grows, counted since the process started.</summary>
    Counter,

    /// <summary>A sum that grows and shrinks.</summary>
    UpDownCounter,

    /// <summary>A histogram with buckets of exponentially growing width.</summary>
    ExponentialHistogram,
}

/// <summary>Spans that a service emits.</summary>
/// <param name="Service">The service; <c>data-plane</c> means each node of it.</param>
/// <param name="Name">Regular expression for the whole name.</param>
/// <param name="Attributes">What every such span carries. <c>a|b</c> is satisfied by either.</param>
/// <param name="Examples">Names among them that must have arrived.</param>
public sealed record SpanSignal(string Service, string Name, SpanKind Kind, string[] Attributes, params string[] Examples)
{
    private readonly Regex name = new($"^(?:{Name})$");

    /// <summary>Whether it describes a span with that name.</summary>
    public bool Describes(string spanName) => name.IsMatch(spanName);
}

/// <summary>A metric that a service emits.</summary>
/// <param name="Service">The service; <c>data-plane</c> means each node of it.</param>
/// <param name="Name">Its name.</param>
/// <param name="Unit">Its unit, in UCUM.</param>
/// <param name="Attributes">What every point of it carries. <c>a|b</c> is satisfied by either.</param>
public sealed record MetricSignal(string Service, string Name, string Unit, MetricType Type, params string[] Attributes)
{
    /// <summary>Whether it must have arrived. One that counts outages arrives only after an outage.</summary>
    public bool Always { get; init; } = true;
}

/// <summary>A log record that a service emits.</summary>
/// <param name="Service">The service; <c>data-plane</c> means each node of it.</param>
/// <param name="Body">Its text.</param>
/// <param name="Severity">Its severity text, in capitals.</param>
/// <param name="Traced">Whether it belongs to a trace.</param>
/// <param name="Attributes">What it carries.</param>
public sealed record LogSignal(string Service, string Body, string Severity, bool Traced, params string[] Attributes);
