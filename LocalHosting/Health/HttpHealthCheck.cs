using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Running;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Aspire.Hosting.Health;

/// <summary>Healthy when a path answers with the status that is expected.</summary>
internal sealed class HttpHealthCheck(EndpointReference endpoint, string path, int expectedStatus) : IHealthCheck
{
    /// <summary>A slower answer is none.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    private const int MaxBodyLength = 400;

    // A new connection each time: a kept one could answer for a process that is going away.
    private static readonly HttpClient s_client = new(new SocketsHttpHandler
    {
        PooledConnectionLifetime = TimeSpan.Zero,
        AllowAutoRedirect = false,
        UseProxy = false,
    })
    {
        Timeout = Timeout,
    };

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var replica = HealthMonitor.Current is { } current && current.Resource == endpoint.Resource ? current.Replica : 0;
        var uri = new Uri(new Uri(EndpointAllocator.UrlsOf(endpoint.EndpointAnnotation).ElementAt(replica)), path);
        try
        {
            using var response = await s_client.GetAsync(uri, cancellationToken).ConfigureAwait(false);
            var status = (int)response.StatusCode;
            if (status == expectedStatus)
                return HealthCheckResult.Healthy();
            var body = await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false);
            return HealthCheckResult.Unhealthy($"{uri} answered {status} {body[..Math.Min(body.Length, MaxBodyLength)]}".TrimEnd());
        }
        catch (HttpRequestException e)
        {
            return HealthCheckResult.Unhealthy($"{uri}: {e.Message}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return HealthCheckResult.Unhealthy($"{uri} did not answer within {Timeout.TotalSeconds:0} s");
        }
    }
}
