using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Hybrid.AppHost;

/// <summary>One run of the topology: start, wait until all is healthy, tell where it is, then run until stopped, or check and stop.</summary>
internal sealed class Session(DistributedApplication app, Topology topology, AppHostOptions options, Preparation prepared)
{
    public async Task<int> RunAsync(CancellationToken stopping)
    {
        var lifetime = app.Services.GetRequiredService<IHostApplicationLifetime>();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(stopping, lifetime.ApplicationStopping);
        try
        {
            await app.StartAsync(stop.Token);
            foreach (var service in topology.Services)
                await app.ResourceNotifications.WaitForResourceHealthyAsync(service.Name, stop.Token);
            await EndpointsFile.WriteAsync(topology, prepared.State.EndpointsFile, stop.Token);
            Console.WriteLine($"All healthy. {prepared.State.EndpointsFile} tells where everything is.");
            if (options.Check)
            {
                using var check = new LoopCheck(topology);
                return await check.RunAsync(stop.Token) ? 0 : 1;
            }
            await Task.Delay(Timeout.Infinite, stop.Token);
            return 0;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return options.Check ? 1 : Environment.ExitCode;
        }
        finally
        {
            await app.StopAsync(CancellationToken.None);
        }
    }
}
