using Microsoft.AspNetCore.Http;

namespace Hybrid.ServiceDefaults.Health;

/// <summary>Answers of the health endpoints.</summary>
internal static class HealthEndpoints
{
    /// <summary>Whether it is one of the paths that are asked all the time, and say nothing in a trace.</summary>
    public static bool IsHealthPath(PathString path) => path == "/livez" || path == "/readyz";

    public static IResult Live() => Results.Json(new { status = "alive" });

    public static async Task<IResult> ReadyAsync(Readiness readiness, CancellationToken cancellationToken)
    {
        var report = await readiness.ReportAsync(cancellationToken).ConfigureAwait(false);
        return Results.Json(report, statusCode: report.Status == "ready" ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }
}
