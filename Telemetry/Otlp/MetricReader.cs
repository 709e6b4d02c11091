using Google.Protobuf.Collections;
using Hybrid.Telemetry.Model;
using Hybrid.Telemetry.Store;
using OpenTelemetry.Proto.Collector.Metrics.V1;
using OpenTelemetry.Proto.Common.V1;
using OpenTelemetry.Proto.Metrics.V1;

namespace Hybrid.Telemetry.Otlp;

/// <summary>Takes requests with metrics in.</summary>
internal static class MetricReader
{
    private const uint NoValue = (uint)DataPointFlags.NoRecordedValueMask;

    public static Rejections Read(ExportMetricsServiceRequest request, TelemetryStore store)
    {
        var rejections = new Rejections();
        foreach (var resource in request.ResourceMetrics)
        {
            var source = Values.ToSource(resource.Resource);
            foreach (var scope in resource.ScopeMetrics)
                foreach (var metric in scope.Metrics)
                    Read(metric, source, scope.Scope?.Name ?? "", store, rejections);
        }

        store.RequestDone(rejections.Count);
        return rejections;
    }

    private static void Read(Metric metric, TelemetrySource source, string scope, TelemetryStore store, Rejections rejections)
    {
        if (metric.Name.Length == 0)
        {
            rejections.Add("metric: name must not be empty");
            return;
        }

        var temporality = metric.Sum?.AggregationTemporality ?? metric.Histogram?.AggregationTemporality
            ?? metric.ExponentialHistogram?.AggregationTemporality;
        var description = new MetricDescription(
            metric.Unit, metric.Description, metric.Sum?.IsMonotonic ?? false, temporality == AggregationTemporality.Delta);
        foreach (var (attributes, point) in Points(metric, rejections))
            store.Add(new MetricIdentity(source, scope, metric.Name, Values.ToAttributes(attributes)), description, point);
    }

    private static IEnumerable<(RepeatedField<KeyValue> Attributes, MetricPoint Point)> Points(Metric metric, Rejections rejections) =>
        metric.DataCase switch
        {
            Metric.DataOneofCase.Gauge => Numbers(metric.Gauge.DataPoints),
            Metric.DataOneofCase.Sum => Numbers(metric.Sum.DataPoints),
            Metric.DataOneofCase.Histogram => Histograms(metric.Name, metric.Histogram.DataPoints, rejections),
            Metric.DataOneofCase.ExponentialHistogram => metric.ExponentialHistogram.DataPoints
                .Where(p => (p.Flags & NoValue) == 0).Select(p => (p.Attributes, (MetricPoint)ToPoint(p))),
            Metric.DataOneofCase.Summary => metric.Summary.DataPoints.Where(p => (p.Flags & NoValue) == 0).Select(p => (p.Attributes, (MetricPoint)ToPoint(p))),
            _ => [],
        };

    private static IEnumerable<(RepeatedField<KeyValue> Attributes, MetricPoint Point)> Numbers(RepeatedField<NumberDataPoint> points) =>
        points.Where(p => (p.Flags & NoValue) == 0).Select(p => (p.Attributes, (MetricPoint)new NumberPoint(
            Values.ToTime(p.TimeUnixNano),
            Values.ToTimeOrNull(p.StartTimeUnixNano),
            p.ValueCase == NumberDataPoint.ValueOneofCase.AsInt ? p.AsInt : p.AsDouble)));

    private static IEnumerable<(RepeatedField<KeyValue> Attributes, MetricPoint Point)> Histograms(
        string name, RepeatedField<HistogramDataPoint> points, Rejections rejections)
    {
        foreach (var p in points.Where(p => (p.Flags & NoValue) == 0))
        {
            if (p.BucketCounts.Count != 0 && p.BucketCounts.Count != p.ExplicitBounds.Count + 1)
                rejections.Add($"metric '{name}': bucket_counts must be one more than explicit_bounds, or none");
            else
                yield return (p.Attributes, new HistogramPoint(
                    Values.ToTime(p.TimeUnixNano),
                    Values.ToTimeOrNull(p.StartTimeUnixNano),
                    p.Count,
                    p.HasSum ? p.Sum : null,
                    p.HasMin ? p.Min : null,
                    p.HasMax ? p.Max : null,
                    [.. p.ExplicitBounds],
                    [.. p.BucketCounts]));
        }
    }

    private static ExponentialHistogramPoint ToPoint(ExponentialHistogramDataPoint p) => new ExponentialHistogramPoint(
        Values.ToTime(p.TimeUnixNano),
        Values.ToTimeOrNull(p.StartTimeUnixNano),
        p.Count,
        p.HasSum ? p.Sum : null,
        p.HasMin ? p.Min : null,
        p.HasMax ? p.Max : null,
        p.Scale,
        p.ZeroCount,
        p.ZeroThreshold,
        ToBuckets(p.Positive),
        ToBuckets(p.Negative));

    private static SummaryPoint ToPoint(SummaryDataPoint p)
    {
        var quantiles = new SortedDictionary<double, double>();
        foreach (var q in p.QuantileValues)
            quantiles[q.Quantile] = q.Value;
        return new SummaryPoint(Values.ToTime(p.TimeUnixNano), Values.ToTimeOrNull(p.StartTimeUnixNano), p.Count, p.Sum, quantiles);
    }

    private static ExponentialBuckets ToBuckets(ExponentialHistogramDataPoint.Types.Buckets? buckets) =>
        buckets is null ? new(0, []) : new(buckets.Offset, [.. buckets.BucketCounts]);
}
