using System.Diagnostics;
using Hybrid.AppHost.Commands;
using Hybrid.AppHost.Start;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Running;

/// <summary>
/// Waits until everything is healthy, writes <c>endpoints.json</c> and prints where the dashboard is. With --check it then drives one
/// round of the loop and ends the run. A failure for good ends it too, with one line and exit code 1.
/// </summary>
internal sealed class StartReport(
    DistributedApplicationModel model, DistributedApplicationExecutionContext context, ResourceNotificationService notifications,
    ResourceCommandService commands, EndpointsFile endpoints, StartOptions options, IHostApplicationLifetime lifetime, ILogger<StartReport> terminal)
{
    /// <summary>A check ends, whatever happens. A first start builds both planes, which takes minutes.</summary>
    private static readonly TimeSpan CheckDeadline = TimeSpan.FromMinutes(20);

    private static readonly TimeSpan WaitReportInterval = TimeSpan.FromSeconds(15);

    private readonly TaskCompletionSource<string> failure = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends the run because of a failure that no retry mends: a missing tool, a broken data folder, a refused setting.</summary>
    public void Fail(IResource resource, string message) => failure.TrySetResult($"{resource.Name}: {message}");

    /// <param name="ended">Cancelled when the run has ended; its stop ends the report too.</param>
    public async Task RunAsync(CancellationToken ended)
    {
        if (!context.IsRunMode)
            return;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(lifetime.ApplicationStopping, ended);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
        if (options.Check)
            deadline.CancelAfter(CheckDeadline);
        try
        {
            var healthy = WaitForHealthAsync(deadline.Token);
            if (await Task.WhenAny(healthy, failure.Task) != healthy)
            {
                End(await failure.Task);
                return;
            }
            await healthy;
            if (await endpoints.WriteAsync(model, deadline.Token) is { } login)
                terminal.LogInformation("Dashboard: {Login}", login);
            if (options.Check)
                await CheckAsync(deadline.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
        catch (OperationCanceledException)
        {
            End($"not healthy within {CheckDeadline.TotalMinutes:0} minutes: {Unhealthy()}");
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
            var report = Unhealthy();
            if (report != lastReport)
                terminal.LogInformation("Waiting for {Resources}", report);
            lastReport = report;
        }
        await healthy;
        terminal.LogInformation("All healthy after {Seconds:0.0} s.", clock.Elapsed.TotalSeconds);
    }

    private async Task CheckAsync(CancellationToken cancellationToken)
    {
        var target = model.Resources.First(resource => resource.Annotations.OfType<ResourceCommandAnnotation>().Any(c => c.Name == LoopCheckCommand.Name));
        var result = await commands.ExecuteCommandAsync(target, LoopCheckCommand.Name, cancellationToken);
        if (!result.Success)
        {
            End($"check failed: {result.Message}");
            return;
        }
        terminal.LogInformation("Check passed: {Message}", result.Message);
        lifetime.StopApplication();
    }

    private void End(string message)
    {
        terminal.LogError("{Message}", message);
        Environment.ExitCode = 1;
        lifetime.StopApplication();
    }

    private IEnumerable<IResource> Watched() => model.Resources.Where(resource => resource.IsProgram() || resource is IResourceWithConnectionString);

    /// <summary>What is not healthy yet, with its state or, once it runs, with what its health checks say.</summary>
    private string Unhealthy()
    {
        List<string> unhealthy = [];
        foreach (var resource in Watched())
        {
            var snapshot = notifications.TryGetCurrentState(resource.Name, out var current) ? current.Snapshot : null;
            var state = snapshot?.State?.Text ?? "no state";
            if (state != KnownResourceStates.Running)
            {
                unhealthy.Add($"{resource.Name} ({state})");
            }
            else if (snapshot?.HealthStatus != HealthStatus.Healthy)
            {
                var problems = snapshot!.HealthReports.Where(report => report.Status != HealthStatus.Healthy).Select(report => report.Description ?? "not checked yet");
                unhealthy.Add($"{resource.Name} ({string.Join("; ", [state, .. problems])})");
            }
        }
        return string.Join(", ", unhealthy);
    }
}
