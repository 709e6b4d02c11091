using Hybrid.Telemetry.Model;

namespace Hybrid.Telemetry.Store;

/// <summary>The log records that are kept. Not for several threads.</summary>
internal sealed class LogIndex(TelemetryLimits limits)
{
    private readonly BoundedQueue<LogEntry> _logs = new(limits.MaxLogs, limits.MaxLogBytes);

    public IEnumerable<LogEntry> All => _logs.Items;

    public int Count => _logs.Count;

    /// <returns>How many had to go.</returns>
    public int Add(LogEntry entry, int bytes)
    {
        _logs.Add(entry, bytes);
        var evicted = 0;
        while (_logs.TryEvict(out _))
            evicted++;
        return evicted;
    }
}
