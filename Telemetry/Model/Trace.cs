namespace Hybrid.Telemetry.Model;

/// <summary>The spans of one trace that have arrived so far, as trees.</summary>
public sealed class Trace
{
    private readonly ILookup<string, SpanRecord> _children;

    internal Trace(string traceId, IEnumerable<SpanRecord> spans)
    {
        TraceId = traceId;
        Spans = [.. spans.OrderBy(s => s.Start)];
        var known = Spans.Select(s => s.SpanId).ToHashSet(StringComparer.Ordinal);
        Roots = [.. Spans.Where(s => s.ParentSpanId is null || !known.Contains(s.ParentSpanId))];
        _children = Spans.Where(s => s.ParentSpanId is not null).ToLookup(s => s.ParentSpanId!, StringComparer.Ordinal);
    }

    public string TraceId { get; }

    /// <summary>All of them, by the time at which they began.</summary>
    public IReadOnlyList<SpanRecord> Spans { get; }

    /// <summary>Those without a parent, or whose parent has not arrived.</summary>
    public IReadOnlyList<SpanRecord> Roots { get; }

    /// <summary>The programs that took part, in the order in which they began.</summary>
    public IReadOnlyList<string> Services => [.. Spans.Select(s => s.Source.ServiceName).Distinct()];

    public IEnumerable<SpanRecord> ChildrenOf(SpanRecord span) => _children[span.SpanId];

    /// <summary>All spans below one, nearest first.</summary>
    public IEnumerable<SpanRecord> DescendantsOf(SpanRecord span)
    {
        var waiting = new Queue<SpanRecord>(ChildrenOf(span));
        var seen = new HashSet<string>(StringComparer.Ordinal) { span.SpanId };
        while (waiting.TryDequeue(out var next))
        {
            // A sender may have made a circle.
            if (!seen.Add(next.SpanId))
                continue;
            yield return next;
            foreach (var child in ChildrenOf(next))
                waiting.Enqueue(child);
        }
    }
}
