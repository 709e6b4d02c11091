using System.Diagnostics;
using Hybrid.AppHost.Commands;
using Hybrid.AppHost.Start;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Running;

/// <summary>
/// Waits until everything is healthy, writes <c>endpoints.json</c> and prints where the dashboard is. With --check it then drives one
/// round of the loop and ends the run. A failure for good ends it too, with one line and exit code 1.
/// </summary>
internal sealed class StartReport(
    DistributedApplicationModel model,
    ResourceNotificationService notifications,
    ResourceCommandService commands,
    StartFailure failure,
    StartOptions options,
    StateFolder state,
    IConfiguration configuration,
    IHostApplicationLifetime lifetime,
    ILoggerFactory logs) : IHostedLifecycleService
{
    /// <summary>Name that Aspire gives its dashboard among the resources.</summary>
    public const string Dashboard = "aspire-dashboard";

    /// <summary>A check ends, whatever happens. A first start builds both planes, which takes minutes.</summary>
    private static readonly TimeSpan CheckDeadline = TimeSpan.FromMinutes(20);

    private static readonly TimeSpan WaitReportInterval = TimeSpan.FromSeconds(15);

    private readonly ILogger terminal = logs.CreateLogger(Terminal.Category);

    private Task report = Task.CompletedTask;

    /// <summary>Begins before the orchestrator starts, whose start lasts until every resource has started.</summary>
    public Task StartingAsync(CancellationToken cancellationToken)
    {
        report = Task.Run(RunAsync, CancellationToken.None);
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => report;

    private async Task RunAsync()
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(lifetime.ApplicationStopping);
        if (options.Check)
            deadline.CancelAfter(CheckDeadline);
        try
        {
            var healthy = WaitForHealthAsync(deadline.Token);
            if (await Task.WhenAny(healthy, failure.First) != healthy)
            {
                End(await failure.First);
                return;
            }
            await healthy;
            await ReportAsync(deadline.Token);
            if (options.Check)
                await CheckAsync(deadline.Token);
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested)
        {
        }
        catch (OperationCanceledException)
        {
            End($"not healthy within {CheckDeadline.TotalMinutes:0} minutes: {string.Join(", ", Unhealthy())}");
        }
    }

    private async Task WaitForHealthAsync(CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        var healthy = Task.WhenAll(Watched().Select(resource =>
            notifications.WaitForResourceHealthyAsync(resource.Name, WaitBehavior.WaitOnResourceUnavailable, cancellationToken)));
        var lastReport = "";
        while (await Task.WhenAny(healthy, Task.Delay(WaitReportInterval, cancellationToken)) != healthy)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var report = string.Join(", ", Unhealthy());
            if (report != lastReport)
                terminal.LogInformation("Waiting for {Resources}", report);
            lastReport = report;
        }
        await healthy;
        terminal.LogInformation("All healthy after {Seconds:0.0} s.", clock.Elapsed.TotalSeconds);
    }

    private async Task ReportAsync(CancellationToken cancellationToken)
    {
        var dashboard = DashboardAddress();
        await EndpointsFile.WriteAsync(model, dashboard, state.EndpointsFile, cancellationToken);
        terminal.LogInformation("Every URL and connection string: {File}", state.EndpointsFile);
        if (dashboard is not null)
            terminal.LogInformation("Dashboard: {Login}", dashboard.Login);
    }

    private async Task CheckAsync(CancellationToken cancellationToken)
    {
        var target = model.Resources.First(resource => resource.Annotations.OfType<ResourceCommandAnnotation>().Any(c => c.Name == LoopCheckCommand.Name));
        var result = await commands.ExecuteCommandAsync(target, LoopCheckCommand.Name, cancellationToken);
        if (result.Success)
        {
            terminal.LogInformation("Check passed: {Message}", result.Message);
            lifetime.StopApplication();
        }
        else
        {
            End($"check failed: {result.Message}");
        }
    }

    private void End(string message)
    {
        terminal.LogError("{Message}", message);
        Environment.ExitCode = 1;
        lifetime.StopApplication();
    }

    private IEnumerable<IResource> Watched() =>
        model.Resources.Where(resource => (resource is ExecutableResource || resource.IsContainer() || resource is IResourceWithConnectionString) && resource.Name != Dashboard);

    /// <summary>What is not healthy yet, with its state and what its health checks say.</summary>
    private IEnumerable<string> Unhealthy()
    {
        foreach (var resource in Watched())
        {
            if (!notifications.TryGetCurrentState(resource.Name, out var current))
                yield return $"{resource.Name} (no state)";
            else if (current.Snapshot.HealthStatus != HealthStatus.Healthy || current.Snapshot.State?.Text != KnownResourceStates.Running)
                yield return $"{resource.Name} ({string.Join("; ", [current.Snapshot.State?.Text ?? "no state", .. Problems(current.Snapshot)])})";
        }
    }

    private static IEnumerable<string> Problems(CustomResourceSnapshot snapshot) =>
        snapshot.State?.Text == KnownResourceStates.Running
            ? snapshot.HealthReports.Where(report => report.Status != HealthStatus.Healthy).Select(report => report.Description ?? "not checked yet")
            : [];

    private DashboardAddress? DashboardAddress()
    {
        if (model.Resources.All(resource => resource.Name != Dashboard) || configuration["ASPNETCORE_URLS"]?.Split(';')[0] is not { } url)
            return null;
        var login = configuration["AppHost:BrowserToken"] is { Length: > 0 } token ? $"{url}/login?t={token}" : url;
        return new DashboardAddress(url, login, configuration["AppHost:DashboardApiKey"]);
    }
}
