using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Hybrid.Toolchain;
using OpenTelemetry.Proto.Trace.V1;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>The type of a metric as OTLP has it. Sums and histograms are cumulative.</summary>
internal enum MetricType
{
    Gauge,
    Counter,
    UpDownCounter,
    ExponentialHistogram,
}

/// <summary>A row of the table.</summary>
/// <param name="Service">The service; <c>data-plane</c> means each node of it.</param>
/// <param name="Attributes">What every such signal carries. <c>a|b</c> is satisfied by either: the second is the name that the conventions had before.</param>
internal abstract record Signal(string Service, string[] Attributes)
{
    /// <summary>The services that must emit it, by the names that they give themselves.</summary>
    public IEnumerable<string> Services => RunningTopology.Services.Where(name => name == Service || name.StartsWith(Service + "-", StringComparison.Ordinal));
}

/// <summary>Spans that a service emits.</summary>
/// <param name="Name">Regular expression for the whole name.</param>
/// <param name="Examples">Names among them that must have arrived.</param>
internal sealed record SpanSignal(string Service, string Name, Span.Types.SpanKind Kind, string[] Attributes, string[] Examples) : Signal(Service, Attributes)
{
    private readonly Regex name = new($"^(?:{Name})$");

    public bool Describes(Span span) => span.Kind == Kind && name.IsMatch(span.Name);
}

/// <summary>A metric that a service emits.</summary>
/// <param name="Unit">Its unit, in UCUM.</param>
/// <param name="Always">Whether it must have arrived. One that counts outages arrives only after an outage.</param>
internal sealed record MetricSignal(string Service, string Name, string Unit, MetricType Type, string[] Attributes, bool Always = true) : Signal(Service, Attributes);

/// <summary>A log record that a service emits.</summary>
/// <param name="Body">Its text.</param>
/// <param name="Severity">Its severity text, in capitals.</param>
/// <param name="Traced">Whether it belongs to a trace.</param>
internal sealed record LogSignal(string Service, string Body, string Severity, bool Traced, string[] Attributes) : Signal(Service, Attributes);

/// <summary>
/// Which signals each service must emit: the table in <c>signals.json</c>. <see cref="SignalTests"/> checks each row, and that no
/// signal of the system's own arrives that has no row.
/// </summary>
/// <param name="Resource">What every signal says of the process that sent it.</param>
internal sealed record Signals(string[] Resource, SpanSignal[] Spans, MetricSignal[] Metrics, LogSignal[] Logs)
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerOptions.Web) { Converters = { new JsonStringEnumConverter() } };

    public static Signals Table { get; } =
        JsonSerializer.Deserialize<Signals>(File.ReadAllText(Path.Combine(Workspace.Root, "tests/Topology/Telemetry/signals.json")), Options)!;
}
