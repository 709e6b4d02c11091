using Hybrid.Toolchain;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.AppHost.Hosting;

/// <summary>Programs that are built from this clone.</summary>
internal static class BuildExtensions
{
    /// <summary>Builds the program before its first start, and again by the command <em>Rebuild and restart</em>, but not when it comes back from a crash.</summary>
    public static IResourceBuilder<T> WithBuild<T>(this IResourceBuilder<T> program, Func<Progress, CancellationToken, Task> build)
        where T : ExecutableResource
    {
        var built = false;
        return program
            .WithPreparation("Building", async (progress, cancellationToken) =>
            {
                if (!built)
                    await build(progress, cancellationToken);
                built = true;
            })
            .WithCommand(KnownResourceCommands.RebuildCommand, "Rebuild and restart", async context =>
            {
                try
                {
                    await build(context.Services.GetRequiredService<Preparations>().ProgressOf(program.Resource), context.CancellationToken);
                }
                catch (SetupException e)
                {
                    return CommandResults.Failure(e.Message);
                }
                return await context.Services.GetRequiredService<ResourceCommandService>()
                    .ExecuteCommandAsync(program.Resource, KnownResourceCommands.RestartCommand, context.CancellationToken);
            }, new CommandOptions
            {
                Description = "Builds the program from its sources and, where that succeeds, restarts it.",
                IconName = "WrenchScrewdriver",
            });
    }
}
