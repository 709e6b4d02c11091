using System.Diagnostics;
using Hybrid.Telemetry.Model;

namespace Hybrid.Telemetry.Store;

/// <summary>How much is kept, and how much was not.</summary>
/// <param name="Spans">Kept now.</param>
/// <param name="Logs">Kept now.</param>
/// <param name="Series">Kept now.</param>
/// <param name="EvictedSpans">Gave way to newer ones since the start.</param>
/// <param name="EvictedLogs">Gave way to newer ones since the start.</param>
/// <param name="EvictedSeries">Gave way to newer ones since the start.</param>
/// <param name="Rejected">Spans, points and records that were refused since the start because they were malformed.</param>
public readonly record struct TelemetryCounts(
    int Spans, int Logs, int Series, long EvictedSpans, long EvictedLogs, long EvictedSeries, long Rejected);

/// <summary>The recent past of a system's telemetry, in bounded memory. For any number of threads.</summary>
public sealed class TelemetryStore
{
    private readonly Lock _lock = new();
    private readonly SpanIndex _spans;
    private readonly LogIndex _logs;
    private readonly SeriesIndex _series;
    private TaskCompletionSource _arrival = NewArrival();
    private long _evictedSpans;
    private long _evictedLogs;
    private long _evictedSeries;
    private long _rejected;

    public TelemetryStore(TelemetryLimits? limits = null)
    {
        limits ??= new TelemetryLimits();
        _spans = new SpanIndex(limits);
        _logs = new LogIndex(limits);
        _series = new SeriesIndex(limits);
    }

    public TelemetryCounts Counts
    {
        get
        {
            lock (_lock)
                return new(_spans.Count, _logs.Count, _series.Count, _evictedSpans, _evictedLogs, _evictedSeries, _rejected);
        }
    }

    /// <summary>The trace with everything of it that has arrived; null when nothing has.</summary>
    public Model.Trace? FindTrace(string traceId)
    {
        lock (_lock)
            return _spans.OfTrace(traceId) is { Count: > 0 } spans ? new Model.Trace(traceId, spans) : null;
    }

    /// <summary>The spans that link to the one named, whichever trace they are in.</summary>
    public IReadOnlyList<SpanRecord> SpansLinkedTo(string traceId, string spanId)
    {
        lock (_lock)
            return [.. _spans.LinkedTo(traceId, spanId)];
    }

    /// <summary>Spans that pass, oldest first.</summary>
    public IReadOnlyList<SpanRecord> Spans(Func<SpanRecord, bool> predicate)
    {
        lock (_lock)
            return [.. _spans.All.Where(predicate)];
    }

    public IReadOnlyList<SpanRecord> SpansNamed(string name, string? service = null) =>
        Spans(s => s.Name == name && (service is null || s.Source.ServiceName == service));

    public IReadOnlyList<SpanRecord> SpansOf(string service) => Spans(s => s.Source.ServiceName == service);

    /// <summary>Log records that pass, oldest first.</summary>
    public IReadOnlyList<LogEntry> Logs(Func<LogEntry, bool> predicate)
    {
        lock (_lock)
            return [.. _logs.All.Where(predicate)];
    }

    public IReadOnlyList<LogEntry> LogsOfTrace(string traceId) => Logs(l => l.TraceId == traceId);

    public IReadOnlyList<LogEntry> LogsOf(string service) => Logs(l => l.Source.ServiceName == service);

    /// <summary>The series of a metric that have at least the attributes given.</summary>
    public IReadOnlyList<MetricSeries> Metrics(string name, string? service = null, params IEnumerable<KeyValuePair<string, object?>> attributes)
    {
        lock (_lock)
            return [.. _series.Named(name)
                .Where(s => (service is null || s.Identity.Source.ServiceName == service) && s.Identity.Attributes.Includes(attributes))];
    }

    /// <summary>All series.</summary>
    public IReadOnlyList<MetricSeries> Metrics()
    {
        lock (_lock)
            return [.. _series.All];
    }

    /// <summary>The value of the series that was heard of last among those of the metric with at least the attributes given.</summary>
    /// <returns>Of a distribution, how many values it has. Null when there is no such series.</returns>
    public double? LatestMetric(string name, string? service = null, params IEnumerable<KeyValuePair<string, object?>> attributes) =>
        Metrics(name, service, attributes) is { Count: > 0 } series ? series[^1].Latest.Value : null;

    /// <summary>The names of the services from which anything has come.</summary>
    public IReadOnlySet<string> Services()
    {
        lock (_lock)
            return _spans.All.Select(s => s.Source.ServiceName)
                .Concat(_logs.All.Select(l => l.Source.ServiceName))
                .Concat(_series.All.Select(s => s.Identity.Source.ServiceName))
                .ToHashSet(StringComparer.Ordinal);
    }

    /// <summary>Waits until the predicate holds. It is asked now, and whenever something has arrived.</summary>
    /// <exception cref="TimeoutException">It did not hold in time.</exception>
    public Task WaitForAsync(Func<TelemetryStore, bool> predicate, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        WaitForAsync(store => predicate(store) ? store : null, timeout, cancellationToken);

    /// <summary>Waits until the query finds something, and gives that.</summary>
    /// <inheritdoc cref="WaitForAsync(Func{TelemetryStore, bool}, TimeSpan, CancellationToken)"/>
    public async Task<T> WaitForAsync<T>(Func<TelemetryStore, T?> query, TimeSpan timeout, CancellationToken cancellationToken = default)
        where T : class
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            Task arrival;
            lock (_lock)
                arrival = _arrival.Task;
            if (query(this) is { } found)
                return found;
            var left = timeout - clock.Elapsed;
            try
            {
                await arrival.WaitAsync(left > TimeSpan.Zero ? left : TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                throw new TimeoutException($"Not seen within {timeout.TotalSeconds:0.#} s. Received: {Counts}; services: {string.Join(", ", Services())}.");
            }
        }
    }

    internal void Add(SpanRecord span, int bytes)
    {
        lock (_lock)
            _evictedSpans += _spans.Add(span, bytes);
    }

    internal void Add(LogEntry entry, int bytes)
    {
        lock (_lock)
            _evictedLogs += _logs.Add(entry, bytes);
    }

    internal void Add(MetricIdentity identity, MetricDescription description, MetricPoint point)
    {
        lock (_lock)
            _evictedSeries += _series.Add(identity, description, point);
    }

    /// <summary>A request was taken in: those who wait look again.</summary>
    internal void RequestDone(long rejected)
    {
        TaskCompletionSource arrived;
        lock (_lock)
        {
            _rejected += rejected;
            arrived = _arrival;
            _arrival = NewArrival();
        }

        arrived.SetResult();
    }

    private static TaskCompletionSource NewArrival() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
