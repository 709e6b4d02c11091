using System.Diagnostics;
using Hybrid.AppHost.Commands;
using Hybrid.AppHost.Start;
using Microsoft.Extensions.Configuration;
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
    ILoggerFactory logs) : BackgroundService
{
    /// <summary>Name that Aspire gives its dashboard among the resources.</summary>
    public const string Dashboard = "aspire-dashboard";

    /// <summary>A check ends, whatever happens. A first start builds both planes, which takes minutes.</summary>
    private static readonly TimeSpan CheckDeadline = TimeSpan.FromMinutes(20);

    private readonly ILogger terminal = logs.CreateLogger(Terminal.Category);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, lifetime.ApplicationStopping);
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
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested || stoppingToken.IsCancellationRequested)
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
        await Task.WhenAll(Watched().Select(resource =>
            notifications.WaitForResourceHealthyAsync(resource.Name, WaitBehavior.WaitOnResourceUnavailable, cancellationToken)));
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

    private IEnumerable<string> Unhealthy() => Watched()
        .Where(resource => !notifications.TryGetCurrentState(resource.GetResolvedResourceName(), out var current) || current.Snapshot.HealthStatus != Microsoft.Extensions.Diagnostics.HealthChecks.HealthStatus.Healthy)
        .Select(resource => resource.Name);

    private DashboardAddress? DashboardAddress()
    {
        if (model.Resources.All(resource => resource.Name != Dashboard) || configuration["ASPNETCORE_URLS"]?.Split(';')[0] is not { } url)
            return null;
        var login = configuration["AppHost:BrowserToken"] is { Length: > 0 } token ? $"{url}/login?t={token}" : url;
        return new DashboardAddress(url, login, configuration["AppHost:DashboardApiKey"]);
    }
}
