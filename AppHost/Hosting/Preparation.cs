using Hybrid.AppHost.Running;
using Hybrid.Toolchain;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Hosting;

/// <summary>What has to be done before a resource can start: a build, <c>initdb</c>, a format.</summary>
internal static class Preparation
{
    /// <summary>
    /// Runs <paramref name="prepare"/> before each start of the resource, while the dashboard shows <paramref name="state"/> and, in the
    /// resource's log, the progress. A failure is one line in that log, and one on the terminal.
    /// </summary>
    public static IResourceBuilder<T> WithPreparation<T>(this IResourceBuilder<T> builder, string state, Func<Progress, CancellationToken, Task> prepare)
        where T : class, IResource =>
        builder.OnBeforeResourceStarted(async (resource, @event, cancellationToken) =>
        {
            await @event.Services.GetRequiredService<ResourceNotificationService>().PublishUpdateAsync(
                resource, snapshot => snapshot with { State = new ResourceStateSnapshot(state, KnownResourceStateStyles.Info) });
            try
            {
                var stopping = @event.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
                using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping);
                await @event.Services.GetRequiredService<PreparationTracker>().TrackAsync(prepare(ProgressOf(resource, @event.Services), ended.Token));
            }
            catch (Exception e) when (e is SetupException or IOException or UnauthorizedAccessException)
            {
                @event.Services.GetRequiredService<ResourceLoggerService>().GetLogger(resource).LogError("{Message}", e.Message);
                @event.Services.GetRequiredService<StartFailure>().Report(resource, e.Message);
                throw;
            }
        });

    /// <summary>Reports to the log of the resource, which the dashboard shows, and to the terminal.</summary>
    public static Progress ProgressOf(IResource resource, IServiceProvider services)
    {
        var log = services.GetRequiredService<ResourceLoggerService>().GetLogger(resource);
        var terminal = services.GetRequiredService<TerminalProgress>();
        return new Progress(line =>
        {
            log.LogInformation("{Line}", line);
            terminal.Say(line);
        });
    }
}
