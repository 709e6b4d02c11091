using System.Collections.Concurrent;
using Hybrid.AppHost.Running;
using Hybrid.Toolchain;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Hosting;

/// <summary>The preparations of a run: where they report, and whether any is under way.</summary>
internal sealed class Preparations(ResourceLoggerService logs, ILogger<Preparations> terminal)
{
    private readonly ConcurrentDictionary<string, bool> said = new();
    private readonly ConcurrentBag<Task> begun = [];

    public Task Track(Task preparation)
    {
        begun.Add(preparation);
        return preparation;
    }

    /// <summary>Ends when every preparation has ended; how is the business of whoever began it.</summary>
    public async Task WaitForAllAsync() => await Task.WhenAll(begun).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    /// <summary>
    /// Reports to the log of the resource, which the dashboard shows, and to the terminal, where a line that several resources report,
    /// such as those that share a build, is shown once.
    /// </summary>
    public Progress ProgressOf(IResource resource)
    {
        var log = logs.GetLogger(resource);
        return new Progress(line =>
        {
            log.LogInformation("{Line}", line);
            if (said.TryAdd(line, true))
                terminal.LogInformation("{Line}", line);
        });
    }
}

/// <summary>What has to be done before a resource can start: a build, <c>initdb</c>, a format.</summary>
internal static class PreparationExtensions
{
    /// <summary>
    /// What native servers are added with, as <see cref="RunsAsPrepared"/> explains. <c>env</c> replaces itself by the program that its
    /// arguments name, so the process is the server's own.
    /// </summary>
    public const string Launcher = "env";

    /// <summary>
    /// Runs <paramref name="prepare"/> before each start of the resource, while the dashboard shows <paramref name="state"/> and, in the
    /// resource's log, the progress. A failure is one line in that log, and one on the terminal.
    /// </summary>
    public static IResourceBuilder<T> WithPreparation<T>(this IResourceBuilder<T> builder, string state, Func<Progress, CancellationToken, Task> prepare)
        where T : class, IResource =>
        builder.OnBeforeResourceStarted(async (resource, @event, cancellationToken) =>
        {
            var services = @event.Services;
            await services.GetRequiredService<ResourceNotificationService>().PublishUpdateAsync(
                resource, snapshot => snapshot with { State = new ResourceStateSnapshot(state, KnownResourceStateStyles.Info) });
            try
            {
                var preparations = services.GetRequiredService<Preparations>();
                var stopping = services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
                using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping);
                await preparations.Track(prepare(preparations.ProgressOf(resource), ended.Token));
            }
            catch (Exception e) when (e is SetupException or IOException or UnauthorizedAccessException)
            {
                services.GetRequiredService<ResourceLoggerService>().GetLogger(resource).LogError("{Message}", e.Message);
                services.GetRequiredService<StartReport>().Fail(resource, e.Message);
                throw;
            }
        });

    /// <summary>
    /// Runs the command line that <paramref name="prepare"/> returns. The orchestrator reads a resource's program before any preparation
    /// runs, but its arguments after it, so the program is the <see cref="Launcher"/>.
    /// </summary>
    public static IResourceBuilder<T> RunsAsPrepared<T>(this IResourceBuilder<T> server, Func<Progress, CancellationToken, Task<string[]>> prepare)
        where T : ExecutableResource
    {
        string[] command = [];
        return server
            .WithPreparation("Preparing", async (progress, cancellationToken) => command = await prepare(progress, cancellationToken))
            .WithArgs(context =>
            {
                foreach (var argument in command)
                    context.Args.Add(argument);
            });
    }
}
