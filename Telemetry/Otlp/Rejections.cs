namespace Hybrid.Telemetry.Otlp;

/// <summary>What of a request was malformed. The rest of it counts.</summary>
internal sealed class Rejections
{
    public long Count { get; private set; }

    /// <summary>The first reason.</summary>
    public string Message { get; private set; } = "";

    public void Add(string reason)
    {
        if (Count++ == 0)
            Message = reason;
    }
}
