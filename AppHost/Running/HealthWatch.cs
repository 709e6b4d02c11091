using System.Collections.Immutable;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace Hybrid.AppHost.Running;

/// <summary>
/// Shows within seconds that a program is not well, and that it is well again. Aspire asks what is healthy every 30 s only, which it
/// has no setting for, and then leaves the result as it is until it asks again.
/// </summary>
internal sealed class HealthWatch(DistributedApplicationModel model, ResourceNotificationService notifications, HealthCheckService checks) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            await Task.WhenAll(model.Resources.Select(resource => LookAsync(resource, stoppingToken)));
    }

    private async Task LookAsync(IResource resource, CancellationToken cancellationToken)
    {
        var names = resource.Annotations.OfType<HealthCheckAnnotation>().Select(check => check.Key).ToHashSet();
        if (names.Count == 0 || !IsRunning())
            return;
        var report = await checks.CheckHealthAsync(check => names.Contains(check.Name), cancellationToken);
        if (IsRunning())
            await notifications.PublishUpdateAsync(resource, state => Differs(state, report) ? state.WithHealthReports(Merged(state, report)) : state);

        // Before Aspire has asked for the first time, the first answer is its own.
        bool IsRunning() => notifications.TryGetCurrentState(resource.Name, out var current)
            && current.Snapshot.State?.Text == KnownResourceStates.Running && current.Snapshot.HealthReports.Any(check => check.Status is not null);
    }

    private static bool Differs(CustomResourceSnapshot state, HealthReport report) => report.Entries.Any(entry =>
        !state.HealthReports.Any(check => check.Name == entry.Key && check.Status == entry.Value.Status && check.Description == entry.Value.Description));

    private static ImmutableArray<HealthReportSnapshot> Merged(CustomResourceSnapshot state, HealthReport report) =>
        [
            .. state.HealthReports.Where(check => !report.Entries.ContainsKey(check.Name)),
            .. report.Entries.Select(entry => new HealthReportSnapshot(entry.Key, entry.Value.Status, entry.Value.Description, entry.Value.Exception?.ToString())),
        ];
}
