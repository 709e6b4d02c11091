using System.Globalization;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.Tests.Harness;

/// <summary>The process behind a resource, and the commands that act on it.</summary>
internal static class ResourceProcess
{
    /// <summary>Process id of a running resource; null while it has none.</summary>
    public static int? IdOf(DistributedApplication app, string resource) =>
        app.ResourceNotifications.TryGetCurrentState(resource, out var current) && current.Snapshot.State?.Text == KnownResourceStates.Running
        && int.TryParse(current.Snapshot.Properties.FirstOrDefault(p => p.Name == "executable.pid")?.Value?.ToString(), CultureInfo.InvariantCulture, out var id)
            ? id
            : null;

    /// <summary>Runs a command of the resource, as a person does in the dashboard.</summary>
    /// <exception cref="InvalidOperationException">The command failed; the message is the one that the dashboard shows.</exception>
    public static async Task<ExecuteCommandResult> CommandAsync(DistributedApplication app, string resource, string command, params (string Name, string Value)[] arguments)
    {
        var inputs = new InteractionInputCollection([.. arguments.Select(a => new InteractionInput { Name = a.Name, Value = a.Value, InputType = InputType.Text })]);
        var commands = app.Services.GetRequiredService<ResourceCommandService>();
        var result = arguments.Length == 0
            ? await commands.ExecuteCommandAsync(resource, command, TestContext.Current.CancellationToken)
            : await commands.ExecuteCommandAsync(resource, command, inputs, TestContext.Current.CancellationToken);
        return result.Success ? result : throw new InvalidOperationException($"{command} of {resource} failed: {result.Message}");
    }

    /// <summary>Kills it as <c>kill -9</c> does, and waits until another process is healthy in its place.</summary>
    public static async Task KillAndWaitForReturnAsync(DistributedApplication app, string resource)
    {
        var killed = IdOf(app, resource) ?? throw new InvalidOperationException($"{resource} has no process.");
        await CommandAsync(app, resource, "kill");
        await Eventually.HoldsAsync($"{resource} to have a new process", () => Task.FromResult(IdOf(app, resource)), id => id is not null && id != killed);
        await HealthyAsync(app, resource);
    }

    /// <summary>Waits until the resource is healthy, even if it is stopped or crashed now.</summary>
    public static Task HealthyAsync(DistributedApplication app, string resource) =>
        app.ResourceNotifications.WaitForResourceHealthyAsync(resource, WaitBehavior.WaitOnResourceUnavailable, TestContext.Current.CancellationToken)
            .WaitAsync(Eventually.Patience, TestContext.Current.CancellationToken);
}
