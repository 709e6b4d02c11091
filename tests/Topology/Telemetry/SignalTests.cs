using OpenTelemetry.Proto.Common.V1;
using OpenTelemetry.Proto.Logs.V1;
using OpenTelemetry.Proto.Metrics.V1;
using OpenTelemetry.Proto.Trace.V1;
using Sum = OpenTelemetry.Proto.Metrics.V1.Sum;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>Everything of <see cref="SignalDrive"/> has been done once in the topology.</summary>
public sealed class DrivenTopology(RunningTopology topology) : IAsyncLifetime
{
    public async ValueTask InitializeAsync()
    {
        var id = Guid.NewGuid().ToString("N")[..10];
        await new SignalDrive(topology, "T-" + id.ToUpperInvariant(), "signal-" + id).RunAsync();
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>Each service emits what <see cref="Signals"/> lists, and nothing of its own beyond it.</summary>
[Collection(SharedTopology.Name)]
public sealed class SignalTests(RunningTopology topology, DrivenTopology driven, ITestOutputHelper output)
    : TopologyTest(topology, output), IClassFixture<DrivenTopology>
{
    private OtlpSink Sink => Topology.Telemetry;

    [Fact]
    public async Task Every_signal_of_the_table_arrives_and_carries_what_the_table_says()
    {
        Assert.NotNull(driven);
        await Eventually.HoldsAsync(
            "every signal of the table", () => Task.FromResult(string.Join("; ", MissingSpans().Concat(MissingMetrics()).Concat(MissingLogs()))), missing => missing.Length == 0);
        Assert.Empty(FaultsOfSpans().Concat(FaultsOfMetrics()).Concat(FaultsOfLogs()).Distinct());
        Output.WriteLine($"{Signals.Spans.Length} rows of spans, {Signals.Metrics.Length} of metrics, {Signals.Logs.Length} of log records; "
            + $"{Sink.Spans.Count} spans, {Sink.MetricPoints.Count} metrics and {Sink.LogRecords.Count} log records received");
    }

    [Fact]
    public void No_span_and_no_metric_of_the_system_arrives_that_the_table_lacks()
    {
        var spans = Sink.Spans.Where(span => RowOf(span) is null).Select(span => $"span {span.Signal.Name} ({span.Signal.Kind}) of {span.Service}");
        var metrics = Sink.MetricPoints
            .Where(metric => metric.Signal.Name.StartsWith("hybrid.", StringComparison.Ordinal) && RowOf(metric) is null)
            .Select(metric => $"metric {metric.Signal.Name} of {metric.Service}");
        Assert.NotEmpty(Sink.Spans);
        Assert.NotEmpty(Sink.MetricPoints);
        Assert.Empty(spans.Concat(metrics).Distinct());
    }

    [Fact]
    public void Each_service_has_an_instance_id_of_its_own()
    {
        var instances = Sink.Spans.Select(span => (span.Service, span.Instance))
            .Concat(Sink.MetricPoints.Select(metric => (metric.Service, metric.Instance)))
            .Concat(Sink.LogRecords.Select(record => (record.Service, record.Instance))).Distinct().ToList();
        Assert.Superset(TopologyStart.Services.ToHashSet(), instances.Select(i => i.Service).ToHashSet());
        Assert.All(instances, i => Assert.NotEmpty(i.Instance));
        Assert.Equal(instances.Count, instances.Select(i => i.Instance).Distinct().Count());
    }

    private IEnumerable<string> MissingSpans() =>
        from row in Signals.Spans
        from service in ServicesOf(row.Service)
        let names = Sink.Spans.Where(span => span.Service == service && span.Signal.Kind == row.Kind).Select(span => span.Signal.Name).ToHashSet()
        from example in row.Examples
        where !names.Contains(example)
        select $"span {example} of {service}";

    private IEnumerable<string> MissingMetrics() =>
        from row in Signals.Metrics
        where row.Always
        from service in ServicesOf(row.Service)
        where !Sink.MetricPoints.Any(metric => metric.Service == service && metric.Signal.Name == row.Name)
        select $"metric {row.Name} of {service}";

    private IEnumerable<string> MissingLogs() =>
        from row in Signals.Logs
        from service in ServicesOf(row.Service)
        where !Sink.LogRecords.Any(record => record.Service == service && record.Signal.Body?.StringValue == row.Body)
        select $"log record \"{row.Body}\" of {service}";

    private IEnumerable<string> FaultsOfSpans()
    {
        foreach (var span in Sink.Spans)
        {
            foreach (var attribute in Lacking(Signals.Resource, span.Resource.Attributes).Concat(RowOf(span) is { } row ? Lacking(row.Attributes, span.Signal.Attributes) : []))
                yield return $"span {span.Signal.Name} of {span.Service} lacks {attribute}";
        }
    }

    private IEnumerable<string> FaultsOfMetrics()
    {
        foreach (var metric in Sink.MetricPoints)
        {
            var name = $"metric {metric.Signal.Name} of {metric.Service}";
            foreach (var attribute in Lacking(Signals.Resource, metric.Resource.Attributes))
                yield return $"{name} lacks {attribute}";
            if (RowOf(metric) is not { } row)
                continue;
            if (metric.Signal.Unit != row.Unit)
                yield return $"{name} has the unit {metric.Signal.Unit}";
            if (TypeOf(metric.Signal) != row.Type)
                yield return $"{name} is a {TypeOf(metric.Signal)?.ToString() ?? metric.Signal.DataCase.ToString()}";
            foreach (var attribute in PointsOf(metric.Signal).SelectMany(point => Lacking(row.Attributes, point)))
                yield return $"{name} has a point that lacks {attribute}";
        }
    }

    private IEnumerable<string> FaultsOfLogs()
    {
        foreach (var record in Sink.LogRecords)
        {
            var body = record.Signal.Body?.StringValue ?? "";
            var name = $"log record \"{body}\" of {record.Service}";
            foreach (var attribute in Lacking(Signals.Resource, record.Resource.Attributes))
                yield return $"{name} lacks {attribute}";
            if (body.Length == 0 || record.Signal.SeverityNumber == SeverityNumber.Unspecified || record.Signal.TimeUnixNano == 0)
                yield return $"{name} has no text, severity or time";
            if (record.Signal.TraceId.Length is not (0 or 16) || record.Signal.SpanId.Length is not (0 or 8))
                yield return $"{name} has a malformed trace context";
            if (Signals.Logs.FirstOrDefault(row => row.Body == body && ServicesOf(row.Service).Contains(record.Service)) is not { } row)
                continue;
            if (!row.Severity.Equals(record.Signal.SeverityText, StringComparison.OrdinalIgnoreCase))
                yield return $"{name} has the severity {record.Signal.SeverityText}";
            if (row.Traced && (record.Signal.TraceId.IsEmpty || record.Signal.SpanId.IsEmpty))
                yield return $"{name} belongs to no trace";
            foreach (var attribute in Lacking(row.Attributes, record.Signal.Attributes))
                yield return $"{name} lacks {attribute}";
        }
    }

    private static SpanSignal? RowOf(Received<Span> span) => Signals.Spans.FirstOrDefault(
        row => row.Kind == span.Signal.Kind && ServicesOf(row.Service).Contains(span.Service) && row.Describes(span.Signal.Name));

    private static MetricSignal? RowOf(Received<Metric> metric) =>
        Signals.Metrics.FirstOrDefault(row => row.Name == metric.Signal.Name && ServicesOf(row.Service).Contains(metric.Service));

    private static string[] ServicesOf(string service) =>
        [.. TopologyStart.Services.Where(name => name == service || name.StartsWith(service + "-", StringComparison.Ordinal))];

    private static IEnumerable<string> Lacking(string[] wanted, IEnumerable<KeyValue> attributes) => wanted.Where(keys => !attributes.Has(keys));

    /// <summary>Null for a type that no row has: a histogram with fixed buckets, a summary, or a sum of differences.</summary>
    private static MetricType? TypeOf(Metric metric) => metric.DataCase switch
    {
        Metric.DataOneofCase.Gauge => MetricType.Gauge,
        Metric.DataOneofCase.Sum when IsCumulative(metric.Sum) => metric.Sum.IsMonotonic ? MetricType.Counter : MetricType.UpDownCounter,
        Metric.DataOneofCase.ExponentialHistogram when metric.ExponentialHistogram.AggregationTemporality == AggregationTemporality.Cumulative =>
            MetricType.ExponentialHistogram,
        _ => null,
    };

    private static bool IsCumulative(Sum sum) => sum.AggregationTemporality == AggregationTemporality.Cumulative;

    private static IEnumerable<IEnumerable<KeyValue>> PointsOf(Metric metric) => metric.DataCase switch
    {
        Metric.DataOneofCase.Gauge => metric.Gauge.DataPoints.Select(p => p.Attributes),
        Metric.DataOneofCase.Sum => metric.Sum.DataPoints.Select(p => p.Attributes),
        Metric.DataOneofCase.ExponentialHistogram => metric.ExponentialHistogram.DataPoints.Select(p => p.Attributes),
        _ => [],
    };
}
