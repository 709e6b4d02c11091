using Grpc.Core;

namespace Hybrid.Tests.Harness;

/// <summary>The trace context of a caller whose trace is recorded, as W3C headers have it.</summary>
internal sealed class TracedRequest
{
    /// <param name="state">Value of <c>tracestate</c>; null for none.</param>
    public TracedRequest(string? state = null)
    {
        State = state;
        TraceParent = $"00-{TraceId}-{Guid.NewGuid().ToString("N")[..16]}-01";
    }

    /// <summary>In lower-case hexadecimal, as all ids here.</summary>
    public string TraceId { get; } = Guid.NewGuid().ToString("N");

    public string TraceParent { get; }

    public string? State { get; }

    /// <summary>For gRPC calls.</summary>
    public Metadata Metadata
    {
        get
        {
            var metadata = new Metadata();
            foreach (var (name, value) in Headers)
                metadata.Add(name, value);
            return metadata;
        }
    }

    /// <summary>For HTTP requests and Kafka records.</summary>
    public IReadOnlyDictionary<string, string> Headers =>
        State is null
            ? new Dictionary<string, string> { ["traceparent"] = TraceParent }
            : new Dictionary<string, string> { ["traceparent"] = TraceParent, ["tracestate"] = State };

    /// <summary>An HTTP request that belongs to the trace.</summary>
    public HttpRequestMessage Http(HttpMethod method, Uri uri, HttpContent? content = null)
    {
        var request = new HttpRequestMessage(method, uri) { Content = content };
        foreach (var (name, value) in Headers)
            request.Headers.Add(name, value);
        return request;
    }
}
