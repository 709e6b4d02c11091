using System.Globalization;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.AppHost.Commands;

/// <summary>Commands that do to a running resource what production does to it: kill it, or make it hang.</summary>
internal static class FaultCommands
{
    public const string Kill = "kill";
    public const string Pause = "pause";
    public const string Resume = "resume";

    /// <param name="Name">Name for <c>kill -s</c>.</param>
    /// <param name="EngineVerb">The container engine's command with the same effect.</param>
    private sealed record Signal(string Name, string EngineVerb, bool WholeTree);

    private static readonly Signal SigKill = new("KILL", "kill", WholeTree: false);
    private static readonly Signal SigStop = new("STOP", "pause", WholeTree: true);
    private static readonly Signal SigCont = new("CONT", "unpause", WholeTree: true);

    /// <summary>Adds <em>Kill</em>, <em>Pause</em> and <em>Resume</em>.</summary>
    public static IResourceBuilder<T> WithFaultCommands<T>(this IResourceBuilder<T> builder)
        where T : class, IResource =>
        builder
            .With(Kill, "Kill", SigKill, "Ends the process with SIGKILL: nothing is flushed. It is started again.", "DismissCircle", "Kill this process with SIGKILL?")
            .With(Pause, "Pause", SigStop, "Stops the process with SIGSTOP: connections stay open and nothing answers.", "Pause")
            .With(Resume, "Resume", SigCont, "Continues a paused process with SIGCONT.", "Play");

    private static IResourceBuilder<T> With<T>(
        this IResourceBuilder<T> builder, string name, string displayName, Signal signal, string description, string icon, string? confirmation = null)
        where T : class, IResource =>
        builder.WithCommand(name, displayName, context => SendAsync(builder.Resource, signal, context), new CommandOptions
        {
            Description = description,
            IconName = icon,
            ConfirmationMessage = confirmation,
            UpdateState = context => context.ResourceSnapshot.State?.Text == KnownResourceStates.Running ? ResourceCommandState.Enabled : ResourceCommandState.Disabled,
        });

    private static async Task<ExecuteCommandResult> SendAsync(IResource resource, Signal signal, ExecuteCommandContext context)
    {
        var notifications = context.Services.GetRequiredService<ResourceNotificationService>();
        if (!notifications.TryGetCurrentState(context.ResourceName, out var current))
            return CommandResults.Failure($"{resource.Name} has no state yet.");
        if (PropertyOf(current.Snapshot, "container.id") is { } container)
        {
            var engine = context.Services.GetRequiredService<Infrastructure>().Engine ?? "docker";
            var result = await Subprocess.RunAsync(engine, [signal.EngineVerb, container], cancellationToken: context.CancellationToken);
            return result.Succeeded ? CommandResults.Success() : CommandResults.Failure(result.Tail());
        }
        if (!int.TryParse(PropertyOf(current.Snapshot, "executable.pid"), CultureInfo.InvariantCulture, out var process))
            return CommandResults.Failure($"{resource.Name} has no process now.");
        var processes = (signal.WholeTree ? [process, .. DescendantsOf(process)] : (int[])[process]).Select(id => id.ToString(CultureInfo.InvariantCulture));
        // The shell's own kill is on every machine.
        var sent = await Subprocess.RunAsync("sh", ["-c", $"kill -s {signal.Name} \"$@\"", "sh", .. processes], cancellationToken: context.CancellationToken);
        return sent.Succeeded ? CommandResults.Success($"SIG{signal.Name} sent to process {process}.") : CommandResults.Failure(sent.Tail());
    }

    private static string? PropertyOf(CustomResourceSnapshot snapshot, string name) =>
        snapshot.Properties.FirstOrDefault(property => property.Name == name)?.Value?.ToString() is { Length: > 0 } value ? value : null;

    /// <summary>A Postgres server answers from processes of its own for each connection. Linux lists them; elsewhere only the process itself is paused.</summary>
    private static IEnumerable<int> DescendantsOf(int process)
    {
        var list = $"/proc/{process}/task/{process}/children";
        if (!File.Exists(list))
            return [];
        var children = File.ReadAllText(list).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => int.Parse(id, CultureInfo.InvariantCulture)).ToList();
        return [.. children, .. children.SelectMany(DescendantsOf)];
    }
}
