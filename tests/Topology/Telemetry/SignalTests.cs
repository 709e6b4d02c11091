using OpenTelemetry.Proto.Common.V1;
using OpenTelemetry.Proto.Logs.V1;
using OpenTelemetry.Proto.Metrics.V1;
using OpenTelemetry.Proto.Trace.V1;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>Each service emits what <see cref="Signals"/> lists, and nothing of its own beyond it.</summary>
public sealed class SignalTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private OtlpSink Sink => Topology.Telemetry;

    [Fact]
    public async Task Every_service_emits_what_the_table_says_and_has_an_instance_id_of_its_own()
    {
        await new SignalDrive(Topology, Jurisdiction, UniqueName("signal")).RunAsync();
        await Eventually.BecomesAsync("every signal of the table", Missing, missing => missing.Count == 0);
        Output.WriteLine($"{Sink.Spans.Count} spans, {Sink.MetricPoints.Count} metrics and {Sink.LogRecords.Count} log records received");

        Assert.Empty(
            Faults(Sink.Spans, span => $"span {span.Name} ({span.Kind})", FaultsOf)
                .Concat(Faults(Sink.MetricPoints, metric => $"metric {metric.Name}", FaultsOf))
                .Concat(Faults(Sink.LogRecords, record => $"log record \"{record.Body?.StringValue}\"", FaultsOf)).Distinct());

        var instances = Sink.Spans.Select(s => (s.Service, s.Instance)).Concat(Sink.MetricPoints.Select(s => (s.Service, s.Instance)))
            .Concat(Sink.LogRecords.Select(s => (s.Service, s.Instance))).Distinct().ToList();
        Assert.Superset(RunningTopology.Services.ToHashSet(), instances.Select(i => i.Service).ToHashSet());
        Assert.DoesNotContain("", instances.Select(i => i.Instance));
        Assert.Distinct(instances.Select(i => i.Instance));
    }

    private List<string> Missing()
    {
        var spans = Sink.Spans.Select(s => (s.Service, s.Signal.Kind, s.Signal.Name)).ToHashSet();
        var metrics = Sink.MetricPoints.Select(m => (m.Service, m.Signal.Name)).ToHashSet();
        var logs = Sink.LogRecords.Select(r => (r.Service, r.Signal.Body?.StringValue)).ToHashSet();
        return
        [
            .. from row in Signals.Table.Spans from service in row.Services from example in row.Examples
               where !spans.Contains((service, row.Kind, example)) select $"span {example} of {service}",
            .. from row in Signals.Table.Metrics where row.Always from service in row.Services
               where !metrics.Contains((service, row.Name)) select $"metric {row.Name} of {service}",
            .. from row in Signals.Table.Logs from service in row.Services
               where !logs.Contains((service, row.Body)) select $"log record \"{row.Body}\" of {service}",
        ];
    }

    private static IEnumerable<string> Faults<T>(IEnumerable<Received<T>> received, Func<T, string> name, Func<Received<T>, IEnumerable<string>> faultsOf) =>
        from signal in received
        from fault in Lacking(Signals.Table.Resource, signal.Resource.Attributes).Concat(faultsOf(signal))
        select $"{name(signal.Signal)} of {signal.Service} {fault}";

    private static IEnumerable<string> FaultsOf(Received<Span> span) =>
        Array.Find(Signals.Table.Spans, row => row.Describes(span.Signal) && row.Services.Contains(span.Service)) is { } row
            ? Lacking(row.Attributes, span.Signal.Attributes)
            : ["is not in the table"];

    private static IEnumerable<string> FaultsOf(Received<Metric> received)
    {
        var metric = received.Signal;
        if (Array.Find(Signals.Table.Metrics, row => row.Name == metric.Name && row.Services.Contains(received.Service)) is not { } row)
        {
            if (metric.Name.StartsWith("hybrid.", StringComparison.Ordinal))
                yield return "is not in the table";
            yield break;
        }
        var (type, points) = Describe(metric);
        if (metric.Unit != row.Unit)
            yield return $"has the unit {metric.Unit}";
        if (type != row.Type)
            yield return $"is a {type?.ToString() ?? metric.DataCase.ToString()}";
        foreach (var fault in points.SelectMany(point => Lacking(row.Attributes, point)))
            yield return $"has a point that {fault}";
    }

    private static IEnumerable<string> FaultsOf(Received<LogRecord> received)
    {
        var record = received.Signal;
        var body = record.Body?.StringValue ?? "";
        if (body.Length == 0 || record.SeverityNumber == SeverityNumber.Unspecified || record.TimeUnixNano == 0)
            yield return "has no text, severity or time";
        if (record.TraceId.Length is not (0 or 16) || record.SpanId.Length is not (0 or 8))
            yield return "has a malformed trace context";
        if (Array.Find(Signals.Table.Logs, row => row.Body == body && row.Services.Contains(received.Service)) is not { } row)
            yield break;
        if (!row.Severity.Equals(record.SeverityText, StringComparison.OrdinalIgnoreCase))
            yield return $"has the severity {record.SeverityText}";
        if (row.Traced && (record.TraceId.IsEmpty || record.SpanId.IsEmpty))
            yield return "belongs to no trace";
        foreach (var fault in Lacking(row.Attributes, record.Attributes))
            yield return fault;
    }

    private static IEnumerable<string> Lacking(string[] wanted, IEnumerable<KeyValue> attributes) =>
        wanted.Where(keys => !attributes.Has(keys)).Select(keys => $"lacks {keys}");

    /// <returns>Its type, null for one that no row has, such as a sum of differences; and the attributes of each point.</returns>
    private static (MetricType? Type, IEnumerable<IEnumerable<KeyValue>> Points) Describe(Metric metric) => metric switch
    {
        { Gauge: { } gauge } => (MetricType.Gauge, gauge.DataPoints.Select(p => p.Attributes)),
        { Sum: { AggregationTemporality: AggregationTemporality.Cumulative } sum } =>
            (sum.IsMonotonic ? MetricType.Counter : MetricType.UpDownCounter, sum.DataPoints.Select(p => p.Attributes)),
        { ExponentialHistogram: { AggregationTemporality: AggregationTemporality.Cumulative } histogram } =>
            (MetricType.ExponentialHistogram, histogram.DataPoints.Select(p => p.Attributes)),
        _ => (null, []),
    };
}
