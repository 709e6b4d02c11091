using Aspire.Hosting.Lifecycle;
using Hybrid.AppHost.Running;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Hybrid.AppHost.Start;

internal static class StartExtensions
{
    /// <summary>Applies the start options: the dashboard's ports, what is checked before the start, and what reports on it and ends it.</summary>
    public static void UseStartOptions(this IDistributedApplicationBuilder builder, StartOptions options, Infrastructure infrastructure)
    {
        var ports = infrastructure.Ports.Dashboard;
        builder.SetDefault("ASPNETCORE_URLS", $"http://127.0.0.1:{ports.Web}");
        builder.SetDefault("ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL", $"http://127.0.0.1:{ports.Otlp}");
        builder.SetDefault("ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL", $"http://127.0.0.1:{ports.ResourceService}");
        builder.SetDefault("ASPIRE_ALLOW_UNSECURED_TRANSPORT", "true");
        builder.Configuration["AppHost:DashboardApplicationName"] = "Hybrid";

        builder.Services.AddLogging(logging => logging.UsePlainLines());
        // A program that crashes while it starts comes back; those that wait for it go on waiting.
        builder.Services.Configure<ResourceNotificationServiceOptions>(wait => wait.DefaultWaitBehavior = WaitBehavior.WaitOnResourceUnavailable);
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(infrastructure);
        builder.Services.AddSingleton(_ => infrastructure.State);
        builder.Services.AddSingleton<TerminalProgress>();
        builder.Services.AddSingleton<PreparationTracker>();
        builder.Services.TryAddSingleton<StartFailure>();
        builder.Services.TryAddEventingSubscriber<StartPreparation>();
        if (!builder.ExecutionContext.IsRunMode)
            return;
        builder.Services.AddHostedService<OrderedStop>();
        builder.Services.AddHostedService<SecondSignal>();
        builder.Services.AddHostedService<StartReport>();
    }

    private static void SetDefault(this IDistributedApplicationBuilder builder, string key, string value) => builder.Configuration[key] ??= value;
}
