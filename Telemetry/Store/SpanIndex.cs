using Hybrid.Telemetry.Model;

namespace Hybrid.Telemetry.Store;

/// <summary>The spans that are kept, found by trace and by link. Not for several threads.</summary>
internal sealed class SpanIndex(TelemetryLimits limits)
{
    private readonly BoundedQueue<SpanRecord> _spans = new(limits.MaxSpans, limits.MaxSpanBytes);
    private readonly Dictionary<string, List<SpanRecord>> _byTrace = new(StringComparer.Ordinal);
    private readonly Dictionary<(string TraceId, string SpanId), List<SpanRecord>> _byLink = [];

    public IEnumerable<SpanRecord> All => _spans.Items;

    public int Count => _spans.Count;

    /// <returns>How many had to go.</returns>
    public int Add(SpanRecord span, int bytes)
    {
        _spans.Add(span, bytes);
        AddTo(_byTrace, span.TraceId, span);
        foreach (var link in span.Links)
            AddTo(_byLink, (link.TraceId, link.SpanId), span);
        var evicted = 0;
        while (_spans.TryEvict(out var old))
        {
            evicted++;
            RemoveFrom(_byTrace, old.TraceId, old);
            foreach (var link in old.Links)
                RemoveFrom(_byLink, (link.TraceId, link.SpanId), old);
        }

        return evicted;
    }

    public IReadOnlyList<SpanRecord> OfTrace(string traceId) => _byTrace.TryGetValue(traceId, out var spans) ? spans : [];

    public IReadOnlyList<SpanRecord> LinkedTo(string traceId, string spanId) => _byLink.TryGetValue((traceId, spanId), out var spans) ? spans : [];

    private static void AddTo<TKey>(Dictionary<TKey, List<SpanRecord>> index, TKey key, SpanRecord span)
        where TKey : notnull
    {
        if (!index.TryGetValue(key, out var spans))
            index[key] = spans = [];
        spans.Add(span);
    }

    private static void RemoveFrom<TKey>(Dictionary<TKey, List<SpanRecord>> index, TKey key, SpanRecord span)
        where TKey : notnull
    {
        if (!index.TryGetValue(key, out var spans))
            return;
        // The oldest is first, so this is found at once.
        var at = spans.FindIndex(s => ReferenceEquals(s, span));
        if (at >= 0)
            spans.RemoveAt(at);
        if (spans.Count == 0)
            index.Remove(key);
    }
}
