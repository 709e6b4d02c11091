using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Running;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Aspire.Hosting.Health;

/// <summary>What the checks of a resource say.</summary>
internal readonly record struct HealthAnswer(HealthStatus Status, string? Reason);

/// <summary>Runs the checks of resources: soon and each second until they pass, then now and then.</summary>
internal sealed class HealthMonitor(HealthCheckService checks)
{
    public static readonly TimeSpan PeriodUntilHealthy = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan PeriodWhenHealthy = TimeSpan.FromSeconds(30);

    private static readonly AsyncLocal<ResourceInstance?> s_current = new();
    private static readonly TimeSpan s_firstPeriod = TimeSpan.FromMilliseconds(100);

    /// <summary>The instance that is being checked: where there are replicas, a check must ask the right one.</summary>
    public static ResourceInstance? Current => s_current.Value;

    /// <summary>Calls back whenever the answer changes, until it is cancelled. A resource without checks is healthy at once.</summary>
    public async Task WatchAsync(ResourceInstance instance, Action<HealthAnswer> onChange, CancellationToken cancellationToken)
    {
        s_current.Value = instance;
        var keys = instance.Resource.Annotations.OfType<HealthCheckAnnotation>().Select(h => h.Key).ToHashSet(StringComparer.Ordinal);
        if (keys.Count == 0)
        {
            onChange(new(HealthStatus.Healthy, null));
            return;
        }

        HealthAnswer? last = null;
        var period = s_firstPeriod;
        while (true)
        {
            var answer = await CheckAsync(keys, cancellationToken).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            if (answer.Status != last?.Status)
                onChange(answer);
            last = answer;
            if (answer.Status == HealthStatus.Healthy)
            {
                await Task.Delay(PeriodWhenHealthy, cancellationToken).ConfigureAwait(false);
                period = s_firstPeriod;
            }
            else
            {
                await Task.Delay(period, cancellationToken).ConfigureAwait(false);
                period = TimeSpan.FromTicks(Math.Min((period * 2).Ticks, PeriodUntilHealthy.Ticks));
            }
        }
    }

    private async Task<HealthAnswer> CheckAsync(HashSet<string> keys, CancellationToken cancellationToken)
    {
        var report = await checks.CheckHealthAsync(r => keys.Contains(r.Name), cancellationToken).ConfigureAwait(false);
        var missing = keys.FirstOrDefault(k => !report.Entries.ContainsKey(k));
        if (missing is not null)
            return new(HealthStatus.Unhealthy, $"there is no health check '{missing}'");
        var worst = report.Entries.Values.OrderBy(e => e.Status).First();
        return new(worst.Status, worst.Description ?? worst.Exception?.Message);
    }
}
