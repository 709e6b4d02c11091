using Aspire.Hosting.Eventing;
using Aspire.Hosting.Lifecycle;
using Hybrid.AppHost.Running;
using Hybrid.Toolchain;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Start;

/// <summary>What must hold before any resource starts: the state folder is ours, every port is free, an engine answers where one is asked for.</summary>
internal sealed class StartPreparation(Infrastructure infrastructure, StartOptions options, ILogger<StartPreparation> terminal) : IDistributedApplicationEventingSubscriber
{
    public Task SubscribeAsync(IDistributedApplicationEventing eventing, DistributedApplicationExecutionContext context, CancellationToken cancellationToken)
    {
        if (context.IsRunMode)
            eventing.Subscribe<BeforeStartEvent>(PrepareAsync);
        return Task.CompletedTask;
    }

    private async Task PrepareAsync(BeforeStartEvent start, CancellationToken cancellationToken)
    {
        if (infrastructure is { UsesContainers: true, Engine: null })
            throw new SetupException("--infrastructure containers needs a container engine, and neither docker nor podman answers. Start one, or use --infrastructure native.");
        infrastructure.State.Open(options.Fresh);
        foreach (var resource in start.Model.Resources)
        {
            if (options.Fresh && infrastructure.Engine is { } engine)
                await RemoveVolumeAsync(engine, infrastructure.VolumeOf(resource.Name), cancellationToken);
            if (resource is ExecutableResource executable && executable.WorkingDirectory.StartsWith(infrastructure.State.Root, StringComparison.Ordinal))
                Directory.CreateDirectory(executable.WorkingDirectory);
            foreach (var endpoint in resource.Annotations.OfType<EndpointAnnotation>())
            {
                if (endpoint is { IsProxied: false, Port: { } port })
                    PortHolder.EnsureFree(port, resource.Name);
            }
        }
        var dashboard = infrastructure.Ports.Dashboard;
        int[] dashboardPorts = start.Model.Resources.Any(RunExtensions.IsDashboard) ? [dashboard.Web, dashboard.Otlp, dashboard.ResourceService] : [];
        foreach (var port in dashboardPorts)
            PortHolder.EnsureFree(port, "the dashboard");
    }

    private async Task RemoveVolumeAsync(string engine, string volume, CancellationToken cancellationToken)
    {
        if (!(await Subprocess.RunAsync(engine, ["volume", "inspect", volume], cancellationToken: cancellationToken)).Succeeded)
            return;
        var removed = await Subprocess.RunAsync(engine, ["volume", "rm", volume], cancellationToken: cancellationToken);
        if (!removed.Succeeded)
            throw new SetupException($"--fresh could not remove the volume {volume}: {removed.Tail()}");
        terminal.LogInformation("Removed the volume {Volume}.", volume);
    }
}
