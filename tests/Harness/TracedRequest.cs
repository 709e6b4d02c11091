using Grpc.Core;

namespace Hybrid.Tests.Harness;

/// <summary>The trace context of a caller whose trace is recorded, as W3C headers have it.</summary>
/// <param name="state">Value of <c>tracestate</c>.</param>
internal sealed class TracedRequest(string state = "test=1")
{
    /// <summary>In lower-case hexadecimal.</summary>
    public string TraceId { get; } = Guid.NewGuid().ToString("N");

    public string State => state;
    public string TraceParent => $"00-{TraceId}-{TraceId[..16]}-01";

    /// <summary>For HTTP requests and Kafka records.</summary>
    public IReadOnlyDictionary<string, string> Headers => new Dictionary<string, string> { ["traceparent"] = TraceParent, ["tracestate"] = State };

    /// <summary>For gRPC calls.</summary>
    public Metadata Metadata => [.. Headers.Select(header => new Metadata.Entry(header.Key, header.Value))];

    /// <summary>Sends an HTTP request that belongs to the trace.</summary>
    public Task<HttpResponseMessage> SendAsync(HttpClient client, HttpMethod method, Uri uri, HttpContent? content = null)
    {
        var request = new HttpRequestMessage(method, uri) { Content = content };
        foreach (var (name, value) in Headers)
            request.Headers.Add(name, value);
        return client.SendAsync(request, TestContext.Current.CancellationToken);
    }
}
