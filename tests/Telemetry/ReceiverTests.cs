using Google.Protobuf;
using Grpc.Core;
using Hybrid.Telemetry.Model;
using Hybrid.Telemetry.Store;
using OpenTelemetry.Proto.Common.V1;
using OpenTelemetry.Proto.Logs.V1;
using OpenTelemetry.Proto.Metrics.V1;
using OpenTelemetry.Proto.Trace.V1;
using Status = OpenTelemetry.Proto.Trace.V1.Status;

namespace Hybrid.Tests.Telemetry;

/// <summary>What is sent over the wire can be asked for.</summary>
public sealed class ReceiverTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_trace_is_a_tree_over_services()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        await receiver.Traces.ExportAsync(Requests.Traces("api", Requests.Span(1, 1, name: "POST"), Requests.Span(1, 2, parent: 1, name: "call")), cancellationToken: Cancellation);
        await receiver.Traces.ExportAsync(Requests.Traces("db", Requests.Span(1, 3, parent: 2, name: "SELECT"), Requests.Span(2, 9)), cancellationToken: Cancellation);

        var trace = receiver.Store.FindTrace(Requests.Hex(Requests.TraceId(1)));

        Assert.NotNull(trace);
        Assert.Equal(["POST", "call", "SELECT"], trace.Spans.Select(s => s.Name));
        var root = Assert.Single(trace.Roots);
        Assert.Equal("POST", root.Name);
        Assert.Equal(["call"], trace.ChildrenOf(root).Select(s => s.Name));
        Assert.Equal(["call", "SELECT"], trace.DescendantsOf(root).Select(s => s.Name));
        Assert.Equal(["api", "db"], trace.Services);
        Assert.Equal(TimeSpan.FromMilliseconds(10), root.Duration);
        Assert.Equal(Requests.Time.AddMilliseconds(1), root.Start);
        Assert.Null(receiver.Store.FindTrace(Requests.Hex(Requests.TraceId(3))));
        Assert.Equal("db", Assert.Single(receiver.Store.SpansNamed("SELECT", "db")).Source.ServiceName);
        Assert.Empty(receiver.Store.SpansNamed("SELECT", "api"));
        Assert.Equal(2, receiver.Store.SpansOf("db").Count);
    }

    [Fact]
    public async Task Links_are_followed_backwards()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        var batch = Requests.Span(2, 20, name: "batch");
        batch.Links.Add(new Span.Types.Link { TraceId = Requests.TraceId(1), SpanId = Requests.SpanId(1) });
        batch.Status = new Status { Code = Status.Types.StatusCode.Error, Message = "late" };
        batch.Events.Add(new Span.Types.Event { Name = "flushed", TimeUnixNano = Requests.Nanoseconds(Requests.Time) });
        await receiver.Traces.ExportAsync(Requests.Traces("metering", batch), cancellationToken: Cancellation);

        var linked = Assert.Single(receiver.Store.SpansLinkedTo(Requests.Hex(Requests.TraceId(1)), Requests.Hex(Requests.SpanId(1))));

        Assert.Equal("batch", linked.Name);
        Assert.Equal((SpanStatus.Error, "late"), (linked.Status, linked.StatusMessage));
        Assert.Equal("flushed", Assert.Single(linked.Events).Name);
        Assert.Empty(receiver.Store.SpansLinkedTo(Requests.Hex(Requests.TraceId(1)), Requests.Hex(Requests.SpanId(2))));
    }

    [Fact]
    public async Task Metrics_of_every_kind_are_read()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        var time = Requests.Nanoseconds(Requests.Time);
        await receiver.Metrics.ExportAsync(
            Requests.Metrics(
                "api",
                new Metric { Name = "depth", Unit = "1", Gauge = new Gauge { DataPoints = { new NumberDataPoint { AsInt = 7, TimeUnixNano = time, Attributes = { Requests.Attribute("queue", "a") } }, new NumberDataPoint { AsDouble = 2.5, TimeUnixNano = time, Attributes = { Requests.Attribute("queue", "b") } } } } },
                new Metric { Name = "requests", Sum = new Sum { IsMonotonic = true, AggregationTemporality = AggregationTemporality.Cumulative, DataPoints = { new NumberDataPoint { AsInt = 1, TimeUnixNano = time } } } },
                new Metric { Name = "latency", Histogram = new Histogram { DataPoints = { new HistogramDataPoint { Count = 3, Sum = 0.6, BucketCounts = { 1, 2 }, ExplicitBounds = { 0.1 }, TimeUnixNano = time } } } },
                new Metric { Name = "duration", ExponentialHistogram = new ExponentialHistogram { AggregationTemporality = AggregationTemporality.Delta, DataPoints = { new ExponentialHistogramDataPoint { Count = 4, Scale = 3, ZeroCount = 1, Positive = new() { Offset = -2, BucketCounts = { 1, 2 } }, TimeUnixNano = time } } } },
                new Metric { Name = "old", Summary = new Summary { DataPoints = { new SummaryDataPoint { Count = 5, Sum = 10, QuantileValues = { new SummaryDataPoint.Types.ValueAtQuantile { Quantile = 0.5, Value = 2 } }, TimeUnixNano = time } } } },
                new Metric { Name = "ended", Gauge = new Gauge { DataPoints = { new NumberDataPoint { Flags = 1, TimeUnixNano = time } } } }),
            cancellationToken: Cancellation);

        var store = receiver.Store;
        Assert.Equal(7, store.LatestMetric("depth", "api", new KeyValuePair<string, object?>("queue", "a")));
        Assert.Equal(2.5, store.LatestMetric("depth", attributes: new KeyValuePair<string, object?>("queue", "b")));
        Assert.Null(store.LatestMetric("depth", "other"));
        Assert.Null(store.LatestMetric("ended"));
        Assert.True(Assert.Single(store.Metrics("requests")).IsMonotonic);
        var histogram = Assert.IsType<HistogramPoint>(Assert.Single(store.Metrics("latency")).Latest);
        Assert.Equal((3ul, 0.6, null), (histogram.Count, histogram.Sum, histogram.Min));
        var exponential = Assert.Single(store.Metrics("duration"));
        Assert.True(exponential.IsDelta);
        var point = Assert.IsType<ExponentialHistogramPoint>(exponential.Latest);
        Assert.Equal((4ul, 3, 1ul, -2), (point.Count, point.Scale, point.ZeroCount, point.Positive.Offset));
        Assert.Equal([1ul, 2ul], point.Positive.Counts);
        Assert.Equal(2, Assert.IsType<SummaryPoint>(Assert.Single(store.Metrics("old")).Latest).Quantiles[0.5]);
    }

    [Fact]
    public async Task A_series_remembers_its_recent_points_only()
    {
        await using var receiver = await ReceiverFixture.StartAsync(new TelemetryLimits { MaxPointsPerSeries = 3, MaxSeries = 2 });
        for (var i = 1; i <= 5; i++)
            await receiver.Metrics.ExportAsync(Requests.Metrics("api", Gauge("a", i)), cancellationToken: Cancellation);
        Assert.Equal([3d, 4, 5], Assert.Single(receiver.Store.Metrics("a")).Points.Select(p => p.Value));

        await receiver.Metrics.ExportAsync(Requests.Metrics("api", Gauge("b", 1), Gauge("c", 1)), cancellationToken: Cancellation);

        Assert.Empty(receiver.Store.Metrics("a"));
        Assert.Equal(1, receiver.Store.Counts.EvictedSeries);
    }

    [Fact]
    public async Task Logs_are_found_by_their_trace()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        await receiver.Logs.ExportAsync(
            Requests.Logs(
                "api",
                new LogRecord { TraceId = Requests.TraceId(1), SpanId = Requests.SpanId(1), SeverityNumber = SeverityNumber.Warn, SeverityText = "WARN", Body = new AnyValue { StringValue = "slow" }, ObservedTimeUnixNano = Requests.Nanoseconds(Requests.Time) },
                new LogRecord { Body = new AnyValue { KvlistValue = new KeyValueList { Values = { Requests.Attribute("k", "v") } } } }),
            cancellationToken: Cancellation);

        var entry = Assert.Single(receiver.Store.LogsOfTrace(Requests.Hex(Requests.TraceId(1))));

        Assert.Equal(("slow", 13, "WARN", Requests.Time), (entry.Body, entry.Severity, entry.SeverityText, entry.Time));
        Assert.Equal(["slow", "{k=v}"], receiver.Store.LogsOf("api").Select(l => l.Body));
    }

    [Fact]
    public async Task Bytes_that_are_no_message_are_an_invalid_argument()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        foreach (var service in (string[])["trace.v1.TraceService", "metrics.v1.MetricsService", "logs.v1.LogsService"])
        {
            var method = new Method<byte[], byte[]>(
                MethodType.Unary, $"opentelemetry.proto.collector.{service}", "Export", Marshallers.Create(b => b, b => b), Marshallers.Create(b => b, b => b));

            var e = await Assert.ThrowsAsync<RpcException>(async () =>
                await receiver.Channel.CreateCallInvoker().AsyncUnaryCall(method, null, new CallOptions(cancellationToken: Cancellation), [0x0A, 0xFF, 0xFF, 0x01]));

            Assert.Equal(Grpc.Core.StatusCode.InvalidArgument, e.StatusCode);
        }

        Assert.Equal(default, receiver.Store.Counts);
    }

    [Fact]
    public async Task Malformed_spans_are_refused_and_counted_and_the_others_kept()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        var short1 = Requests.Span(1, 2, name: "short");
        short1.TraceId = ByteString.CopyFrom(1, 2, 3);
        var zero = Requests.Span(1, 3);
        zero.SpanId = ByteString.CopyFrom(new byte[8]);

        var response = await receiver.Traces.ExportAsync(Requests.Traces("api", Requests.Span(1, 1), short1, zero), cancellationToken: Cancellation);

        Assert.Equal(2, response.PartialSuccess.RejectedSpans);
        Assert.Equal("span 'short': trace_id must be 16 bytes that are not all zero", response.PartialSuccess.ErrorMessage);
        Assert.Equal((1, 2L), (receiver.Store.Counts.Spans, receiver.Store.Counts.Rejected));
    }

    [Fact]
    public async Task Malformed_points_and_records_are_refused_too()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        var metrics = await receiver.Metrics.ExportAsync(
            Requests.Metrics("api", new Metric { Name = "h", Histogram = new Histogram { DataPoints = { new HistogramDataPoint { BucketCounts = { 1, 2, 3 }, ExplicitBounds = { 1 } } } } }, Gauge("", 1)),
            cancellationToken: Cancellation);
        var logs = await receiver.Logs.ExportAsync(Requests.Logs("api", new LogRecord { TraceId = ByteString.CopyFrom(1) }), cancellationToken: Cancellation);

        Assert.Equal(2, metrics.PartialSuccess.RejectedDataPoints);
        Assert.Equal(1, logs.PartialSuccess.RejectedLogRecords);
        Assert.Equal(3, receiver.Store.Counts.Rejected);
    }

    [Fact]
    public async Task Compressed_requests_are_read()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        var headers = new Metadata { { "grpc-internal-encoding-request", "gzip" } };

        await receiver.Traces.ExportAsync(Requests.Traces("api", Requests.Span(1, 1, name: new string('x', 100_000))), headers, cancellationToken: Cancellation);

        Assert.Equal(1, receiver.Store.Counts.Spans);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Requests_beyond_the_limit_are_refused_compressed_or_not(bool compressed)
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        var headers = new Metadata();
        if (compressed)
            headers.Add("grpc-internal-encoding-request", "gzip");

        var e = await Assert.ThrowsAsync<RpcException>(async () => await receiver.Traces.ExportAsync(
            Requests.Traces("api", Requests.Span(1, 1, name: new string('x', 17 << 20))), headers, cancellationToken: Cancellation));

        Assert.Equal(Grpc.Core.StatusCode.ResourceExhausted, e.StatusCode);
        Assert.Equal(0, receiver.Store.Counts.Spans);
    }

    [Fact]
    public async Task The_oldest_gives_way_and_is_counted()
    {
        await using var receiver = await ReceiverFixture.StartAsync(new TelemetryLimits { MaxSpans = 3, MaxLogBytes = 2_500 });
        for (var i = 1; i <= 5; i++)
        {
            await receiver.Traces.ExportAsync(Requests.Traces("api", Requests.Span(i, i)), cancellationToken: Cancellation);
            await receiver.Logs.ExportAsync(Requests.Logs("api", new LogRecord { Body = new AnyValue { StringValue = new string('x', 1_000) } }), cancellationToken: Cancellation);
        }

        var counts = receiver.Store.Counts;
        Assert.Equal((3, 2L), (counts.Spans, counts.EvictedSpans));
        Assert.Equal((2, 3L), (counts.Logs, counts.EvictedLogs));
        Assert.Null(receiver.Store.FindTrace(Requests.Hex(Requests.TraceId(2))));
        Assert.NotNull(receiver.Store.FindTrace(Requests.Hex(Requests.TraceId(3))));
    }

    [Fact]
    public async Task Who_waits_is_woken_by_the_arrival()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        var waiting = receiver.Store.WaitForAsync(s => s.SpansNamed("late") is [var span] ? span : null, Eventually.Patience, Cancellation);
        await receiver.Traces.ExportAsync(Requests.Traces("api", Requests.Span(1, 1, name: "early")), cancellationToken: Cancellation);
        Assert.False(waiting.IsCompleted);

        await receiver.Traces.ExportAsync(Requests.Traces("api", Requests.Span(1, 2, name: "late")), cancellationToken: Cancellation);

        Assert.Equal("late", (await waiting).Name);
        var e = await Assert.ThrowsAsync<TimeoutException>(() => receiver.Store.WaitForAsync(_ => false, TimeSpan.FromMilliseconds(20), Cancellation));
        Assert.Contains("services: api", e.Message);
    }

    private static Metric Gauge(string name, int value) => new() { Name = name, Gauge = new Gauge { DataPoints = { new NumberDataPoint { AsInt = value } } } };
}
