using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.AppHost.Hosting;

/// <summary>
/// Asks one of our programs for its readiness. It is degraded while it serves and a part of its work stands still, which the status
/// code alone does not tell, and what stands still is the description.
/// </summary>
internal sealed class ReadinessCheck(EndpointReference endpoint) : IHealthCheck
{
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(2) };

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            using var answer = await Http.GetAsync(endpoint.Url + "/readyz", cancellationToken);
            var report = await answer.Content.ReadFromJsonAsync<Report>(cancellationToken) ?? throw new JsonException("nothing");
            var pending = string.Join("; ", report.Tasks.Where(task => task.Status != "done").Select(task => $"{task.Name}: {task.Detail}"));
            return (answer.StatusCode, report.Status) switch
            {
                (HttpStatusCode.OK, "ready") => HealthCheckResult.Healthy(),
                (HttpStatusCode.OK, _) => HealthCheckResult.Degraded($"{report.Status}; {pending}"),
                _ => HealthCheckResult.Unhealthy($"{report.Status}; {pending}"),
            };
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return HealthCheckResult.Unhealthy($"/readyz did not answer within {Http.Timeout.TotalSeconds:0} s");
        }
        catch (Exception e) when (e is HttpRequestException or JsonException)
        {
            return HealthCheckResult.Unhealthy($"/readyz: {e.Message}");
        }
    }

    private sealed record Report(string Status, IReadOnlyList<ReadinessTask> Tasks);

    private sealed record ReadinessTask(string Name, string Status, string Detail);
}
