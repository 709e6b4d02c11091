using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.ConsoleView;
using Aspire.Hosting.Health;
using Hybrid.Telemetry.Store;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.Running;

internal static class ServiceCollectionExtensions
{
    public static void AddLocalHosting(
        this IServiceCollection services, IResourceCollection resources, DistributedApplicationExecutionContext executionContext)
    {
        services.AddSingleton(resources);
        services.AddSingleton(executionContext);
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<ResourceNotificationService>();
        services.AddSingleton<ResourceLogs>();
        services.AddSingleton(s => ConsoleOutput.ForStandardOutput(s.GetRequiredService<IConfiguration>().GetValue<bool>("LocalHosting:Quiet")));
        services.AddSingleton<HostLog>();
        services.AddSingleton<RunOutcome>();
        services.AddSingleton<StopGrace>();
        services.AddSingleton<DependencyGate>();
        services.AddSingleton<HealthMonitor>();
        services.AddSingleton<OtlpSettings>();
        services.AddSingleton(new TelemetryStore());
        services.AddSingleton<TelemetryHost>();
        services.AddSingleton<LaunchPlan>();
        services.AddSingleton<ProcessRecordsHolder>();
        services.AddSingleton<RunnerServices>();
        services.AddSingleton<Runners>();
        services.AddSingleton(s => new ResourceCommandService(
            s.GetRequiredService<Runners>(), s, s.GetRequiredService<ILogger<ResourceCommandService>>()));
        services.AddHostedService<Orchestrator>();
        services.AddHostedService<StateTablePrinter>();

        services.AddHttpClient();
        services.AddHealthChecks();
        // Resources have their own monitor.
        foreach (var publisher in services.Where(s => s.ImplementationType?.Name == "HealthCheckPublisherHostedService").ToArray())
            services.Remove(publisher);
        services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromMinutes(5));
        services.Configure<ConsoleLifetimeOptions>(o => o.SuppressStatusMessages = true);
        services.AddLogging(logging => logging
            .ClearProviders()
            .AddFilter<HostLoggerProvider>(null, LogLevel.Warning)
            .AddFilter<HostLoggerProvider>("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None)
            // A start that fails is said in one line by whoever started.
            .AddFilter<HostLoggerProvider>("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None));
        services.AddSingleton<ILoggerProvider, HostLoggerProvider>();
    }
}
