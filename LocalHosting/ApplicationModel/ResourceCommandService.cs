using Aspire.Hosting.Running;
using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>The commands that every process has.</summary>
public static class KnownResourceCommands
{
    public static readonly string StartCommand = "resource-start";
    public static readonly string StopCommand = "resource-stop";
    public static readonly string RestartCommand = "resource-restart";
}

/// <summary>Executes commands of resources.</summary>
public class ResourceCommandService
{
    private readonly Runners _runners;
    private readonly IServiceProvider _services;
    private readonly ILogger _logger;

    internal ResourceCommandService(Runners runners, IServiceProvider services, ILogger<ResourceCommandService> logger)
    {
        _runners = runners;
        _services = services;
        _logger = logger;
    }

    /// <summary>Executes a command of a resource (on all its instances), or of one instance.</summary>
    public async Task<ExecuteCommandResult> ExecuteCommandAsync(
        string resourceId, string commandName, CancellationToken cancellationToken = default)
    {
        var runners = _runners.Find(resourceId);
        if (runners.Count == 0)
            return CommandResults.Failure($"There is no resource '{resourceId}'.");
        var resource = runners[0].Instance.Resource;
        var own = resource.Annotations.OfType<ResourceCommandAnnotation>().LastOrDefault(c => c.Name == commandName);
        if (own is not null)
            return await ExecuteAsync(own, resource.Name, cancellationToken).ConfigureAwait(false);

        var stops = commandName == KnownResourceCommands.StopCommand || commandName == KnownResourceCommands.RestartCommand;
        var starts = commandName == KnownResourceCommands.StartCommand || commandName == KnownResourceCommands.RestartCommand;
        if (!stops && !starts)
            return CommandResults.Failure($"Resource '{resourceId}' has no command '{commandName}'.");
        if (stops)
            await Task.WhenAll(runners.Select(r => r.StopAsync(CancellationToken.None))).WaitAsync(cancellationToken).ConfigureAwait(false);
        if (starts)
            foreach (var runner in runners)
                runner.Start();
        return CommandResults.Success();
    }

    private async Task<ExecuteCommandResult> ExecuteAsync(
        ResourceCommandAnnotation command, string resourceName, CancellationToken cancellationToken)
    {
        try
        {
            return await command.ExecuteCommand(new ExecuteCommandContext
            {
                ServiceProvider = _services,
                ResourceName = resourceName,
                CancellationToken = cancellationToken,
                Logger = _logger,
            }).ConfigureAwait(false);
        }
#pragma warning disable CA1031 // A command is the application's own code; its failure is an answer.
        catch (Exception e) when (e is not OperationCanceledException)
#pragma warning restore CA1031
        {
            return CommandResults.Failure(e);
        }
    }
}
