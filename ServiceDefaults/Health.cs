using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace Hybrid.ServiceDefaults;

/// <summary>Answers of the health endpoints.</summary>
internal static class Health
{
    /// <summary>Whether it is one of the paths that are asked all the time, and say nothing in a trace.</summary>
    public static bool IsHealthPath(PathString path) => path == "/livez" || path == "/readyz";

    /// <summary><c>ready</c>, <c>pending</c> or <c>draining</c>, and by name what must be done before the program is ready.</summary>
    public static async Task<IResult> ReadyAsync(HealthCheckService checks, IHostApplicationLifetime lifetime, CancellationToken cancellationToken)
    {
        var report = await checks.CheckHealthAsync(check => check.Tags.Contains("ready"), cancellationToken).ConfigureAwait(false);
        var tasks = report.Entries.OrderBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => new
        {
            name = entry.Key,
            status = entry.Value.Status == HealthStatus.Unhealthy ? "pending" : "done",
            detail = entry.Value.Description ?? entry.Value.Exception?.Message ?? "",
        });
        var status = lifetime.ApplicationStopping.IsCancellationRequested ? "draining" : report.Status == HealthStatus.Unhealthy ? "pending" : "ready";
        return Results.Json(new { status, tasks }, statusCode: status == "ready" ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }
}
