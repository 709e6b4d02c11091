using Aspire.Hosting.Lifecycle;
using Hybrid.AppHost.Hosting;
using Hybrid.AppHost.Running;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.AppHost.Start;

internal static class StartExtensions
{
    /// <summary>Applies the start options: the dashboard's ports, what is checked before the start, and what reports on it and ends it.</summary>
    public static void UseStartOptions(this IDistributedApplicationBuilder builder, StartOptions options, Infrastructure infrastructure)
    {
        var ports = infrastructure.Ports.Dashboard;
        builder.Configuration["ASPNETCORE_URLS"] ??= $"http://127.0.0.1:{ports.Web}";
        builder.Configuration["ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL"] ??= $"http://127.0.0.1:{ports.Otlp}";
        builder.Configuration["ASPIRE_RESOURCE_SERVICE_ENDPOINT_URL"] ??= $"http://127.0.0.1:{ports.ResourceService}";
        builder.Configuration["ASPIRE_ALLOW_UNSECURED_TRANSPORT"] ??= "true";
        builder.Configuration["AppHost:DashboardApplicationName"] = "Hybrid";

        builder.Services.AddLogging(PlainLines.Configure);
        // A program that crashes while it starts comes back; those that wait for it go on waiting.
        builder.Services.Configure<ResourceNotificationServiceOptions>(wait => wait.DefaultWaitBehavior = WaitBehavior.WaitOnResourceUnavailable);
        builder.Services.AddSingleton(options).AddSingleton(infrastructure).AddSingleton(_ => infrastructure.State);
        builder.Services.AddSingleton<Preparations>().AddSingleton<StartReport>().AddSingleton<EndpointsFile>();
        builder.Services.TryAddEventingSubscriber<StartPreparation>();
        if (builder.ExecutionContext.IsRunMode)
            builder.Services.AddHostedService<OrderedStop>().AddHostedService<HealthWatch>();
    }

    /// <summary>Takes out of the model what <see cref="StartOptions.Only"/> neither names nor needs.</summary>
    /// <returns>False when it names something that is not there, which is said on standard error.</returns>
    public static bool TryKeepOnly(this IDistributedApplicationBuilder builder, IReadOnlyCollection<string> only)
    {
        if (only.Count == 0)
            return true;
        var names = builder.Resources.ToDictionary(resource => resource.Name);
        if (only.FirstOrDefault(name => !names.ContainsKey(name)) is { } unknown)
        {
            Console.Error.WriteLine($"--only {unknown}: there is no such resource. There are {string.Join(", ", names.Keys)}.");
            return false;
        }
        var kept = new HashSet<IResource>();
        foreach (var name in only)
            Keep(names[name]);
        foreach (var resource in builder.Resources.Except(kept).ToList())
            builder.Resources.Remove(resource);
        return true;

        void Keep(IResource resource)
        {
            if (!kept.Add(resource))
                return;
            foreach (var needed in resource.Annotations.OfType<WaitAnnotation>())
                Keep(needed.Resource);
            if (resource is IResourceWithParent child)
                Keep(child.Parent);
        }
    }
}
