using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace Hybrid.ServiceDefaults.Health;

/// <summary>Whether the program can do its work, and what is still pending.</summary>
internal sealed class Readiness(HealthCheckService checks, IHostApplicationLifetime lifetime)
{
    public const string Tag = "ready";

    public async Task<ReadinessReport> ReportAsync(CancellationToken cancellationToken)
    {
        var report = await checks.CheckHealthAsync(r => r.Tags.Contains(Tag), cancellationToken).ConfigureAwait(false);
        var tasks = report.Entries
            .OrderBy(e => e.Key, StringComparer.Ordinal)
            .Select(e => new ReadinessTask(
                e.Key,
                e.Value.Status == HealthStatus.Unhealthy ? "pending" : "done",
                e.Value.Description ?? e.Value.Exception?.Message ?? ""))
            .ToArray();
        var status = lifetime.ApplicationStopping.IsCancellationRequested ? "draining"
            : tasks.All(t => t.Status == "done") ? "ready"
            : "pending";
        return new(status, tasks);
    }
}

/// <summary>The answer of <c>/readyz</c>: <c>ready</c>, <c>pending</c> or <c>draining</c>.</summary>
internal sealed record ReadinessReport(string Status, IReadOnlyList<ReadinessTask> Tasks);

/// <summary>Something that must be done before the program is ready: <c>done</c> or <c>pending</c>.</summary>
internal sealed record ReadinessTask(string Name, string Status, string Detail);
