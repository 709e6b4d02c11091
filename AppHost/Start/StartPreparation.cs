using Aspire.Hosting.Eventing;
using Aspire.Hosting.Lifecycle;
using Hybrid.Toolchain;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Start;

/// <summary>What must hold before any resource starts: the state folder is ours, every port is free, an engine answers where one is asked for.</summary>
internal sealed class StartPreparation(Infrastructure infrastructure, StartOptions options, ILoggerFactory logs) : IDistributedApplicationEventingSubscriber
{
    private readonly ILogger terminal = logs.CreateLogger(Running.Terminal.Category);

    public Task SubscribeAsync(IDistributedApplicationEventing eventing, DistributedApplicationExecutionContext context, CancellationToken cancellationToken)
    {
        if (context.IsRunMode)
            eventing.Subscribe<BeforeStartEvent>(PrepareAsync);
        return Task.CompletedTask;
    }

    private async Task PrepareAsync(BeforeStartEvent @event, CancellationToken cancellationToken)
    {
        if (infrastructure is { UsesContainers: true, Engine: null })
            throw new SetupException("--infrastructure containers needs a container engine, and neither docker nor podman answers. Start one, or use --infrastructure native.");
        infrastructure.State.Open(options.Fresh);
        if (options.Fresh && infrastructure.Engine is { } engine)
            await RemoveVolumesAsync(engine, @event.Model, cancellationToken);
        foreach (var resource in @event.Model.Resources)
        {
            if (resource is ExecutableResource executable && executable.WorkingDirectory.StartsWith(infrastructure.State.Root, StringComparison.Ordinal))
                Directory.CreateDirectory(executable.WorkingDirectory);
            foreach (var endpoint in resource.Annotations.OfType<EndpointAnnotation>())
            {
                if (endpoint is { IsProxied: false, Port: { } port })
                    PortHolder.EnsureFree(port, resource.Name);
            }
        }
        if (!@event.Model.Resources.Any(IsDashboard))
            return;
        var dashboard = infrastructure.Ports.Dashboard;
        foreach (var port in (int[])[dashboard.Web, dashboard.Otlp, dashboard.ResourceService])
            PortHolder.EnsureFree(port, "the dashboard");
    }

    private static bool IsDashboard(IResource resource) => resource.Name == Running.StartReport.Dashboard;

    private async Task RemoveVolumesAsync(string engine, DistributedApplicationModel model, CancellationToken cancellationToken)
    {
        foreach (var resource in model.Resources)
        {
            var volume = infrastructure.VolumeOf(resource.Name);
            if ((await Subprocess.RunAsync(engine, ["volume", "inspect", volume], cancellationToken: cancellationToken)).Succeeded)
            {
                var removed = await Subprocess.RunAsync(engine, ["volume", "rm", volume], cancellationToken: cancellationToken);
                if (!removed.Succeeded)
                    throw new SetupException($"--fresh could not remove the volume {volume}: {removed.Tail()}");
                terminal.LogInformation("Removed the volume {Volume}.", volume);
            }
        }
    }
}
