using Hybrid.Telemetry.Model;

namespace Hybrid.Telemetry.Store;

/// <summary>What is said of a metric besides its points.</summary>
internal sealed record MetricDescription(string Unit, string Description, bool IsMonotonic, bool IsDelta);

/// <summary>The series that are kept, the one that was silent longest first. Not for several threads.</summary>
internal sealed class SeriesIndex(TelemetryLimits limits)
{
    private readonly Dictionary<MetricIdentity, LinkedListNode<Entry>> _byIdentity = [];
    private readonly LinkedList<Entry> _byAge = new();

    public IEnumerable<MetricSeries> All => _byAge.Select(e => e.ToSeries());

    public int Count => _byAge.Count;

    /// <returns>How many series had to go.</returns>
    public int Add(MetricIdentity identity, MetricDescription description, MetricPoint point)
    {
        if (_byIdentity.TryGetValue(identity, out var node))
            _byAge.Remove(node);
        else
            _byIdentity[identity] = node = new LinkedListNode<Entry>(new Entry(identity));
        _byAge.AddLast(node);
        node.Value.Add(description, point, limits.MaxPointsPerSeries);

        var evicted = 0;
        while (_byAge.Count > limits.MaxSeries)
        {
            _byIdentity.Remove(_byAge.First!.Value.Identity);
            _byAge.RemoveFirst();
            evicted++;
        }

        return evicted;
    }

    public IEnumerable<MetricSeries> Named(string name) => _byAge.Where(e => e.Identity.Name == name).Select(e => e.ToSeries());

    private sealed class Entry(MetricIdentity identity)
    {
        private readonly Queue<MetricPoint> _points = new();
        private MetricDescription _description = new("", "", false, false);

        public MetricIdentity Identity { get; } = identity;

        public void Add(MetricDescription description, MetricPoint point, int maxPoints)
        {
            _description = description;
            _points.Enqueue(point);
            while (_points.Count > maxPoints)
                _points.Dequeue();
        }

        public MetricSeries ToSeries() => new(
            Identity, _description.Unit, _description.Description, _description.IsMonotonic, _description.IsDelta, [.. _points]);
    }
}
