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

    /// <summary>Adds <em>Kill</em>, <em>Pause</em> and <em>Resume</em>.</summary>
    public static IResourceBuilder<T> WithFaultCommands<T>(this IResourceBuilder<T> builder)
        where T : class, IResource =>
        builder
            .WithSignal(
                Kill, new("KILL", "kill", WholeTree: false), "Ends the process with SIGKILL: nothing is flushed. It is started again.", "DismissCircle",
                "Kill this process with SIGKILL?")
            .WithSignal(Pause, new("STOP", "pause", WholeTree: true), "Stops the process with SIGSTOP: connections stay open and nothing answers.", "Pause")
            .WithSignal(Resume, new("CONT", "unpause", WholeTree: true), "Continues a paused process with SIGCONT.", "Play");

    private static IResourceBuilder<T> WithSignal<T>(
        this IResourceBuilder<T> builder, string name, Signal signal, string description, string icon, string? confirmation = null)
        where T : class, IResource =>
        builder.WithCommand(name, $"{char.ToUpperInvariant(name[0])}{name[1..]}", context => SendAsync(builder.Resource, signal, context), new CommandOptions
        {
            Description = description,
            IconName = icon,
            ConfirmationMessage = confirmation,
            UpdateState = context => context.ResourceSnapshot.State?.Text == KnownResourceStates.Running ? ResourceCommandState.Enabled : ResourceCommandState.Disabled,
        });

    private static async Task<ExecuteCommandResult> SendAsync(IResource resource, Signal signal, ExecuteCommandContext context)
    {
        if (!context.Services.GetRequiredService<ResourceNotificationService>().TryGetCurrentState(context.ResourceName, out var current))
            return CommandResults.Failure($"{resource.Name} has no state yet.");
        string? PropertyOf(string name) => current.Snapshot.Properties.FirstOrDefault(property => property.Name == name)?.Value?.ToString();
        if (PropertyOf("container.id") is { Length: > 0 } container)
        {
            var engine = context.Services.GetRequiredService<Infrastructure>().Engine ?? "docker";
            var result = await Subprocess.RunAsync(engine, [signal.EngineVerb, container], cancellationToken: context.CancellationToken);
            return result.Succeeded ? CommandResults.Success() : CommandResults.Failure(result.Tail());
        }
        if (!int.TryParse(PropertyOf("executable.pid"), CultureInfo.InvariantCulture, out var process))
            return CommandResults.Failure($"{resource.Name} has no process now.");
        var sent = await KillAsync(signal.Name, process, context.CancellationToken);
        if (!sent.Succeeded)
            return CommandResults.Failure(sent.Tail());
        // Listed only now: one that is stopped has no more children. Those that have ended meanwhile need no signal.
        foreach (var child in signal.WholeTree ? ChildrenOf(process) : [])
            await KillAsync(signal.Name, child, context.CancellationToken);
        return CommandResults.Success($"SIG{signal.Name} sent to process {process}.");
    }

    /// <summary>By the shell's own kill, which is on every machine.</summary>
    private static Task<SubprocessResult> KillAsync(string signal, int process, CancellationToken cancellationToken) =>
        Subprocess.RunAsync("sh", ["-c", "kill -s \"$1\" \"$2\"", "sh", signal, process.ToString(CultureInfo.InvariantCulture)], cancellationToken: cancellationToken);

    /// <summary>A Postgres server answers from processes of its own for each connection. Linux lists them; elsewhere only the process itself is paused.</summary>
    private static List<int> ChildrenOf(int process)
    {
        var list = $"/proc/{process}/task/{process}/children";
        try
        {
            var children = File.Exists(list) ? File.ReadAllText(list).Split(' ', StringSplitOptions.RemoveEmptyEntries) : [];
            return [.. children.Select(id => int.Parse(id, CultureInfo.InvariantCulture)).SelectMany(id => (int[])[id, .. ChildrenOf(id)])];
        }
        catch (IOException)
        {
            // It has ended.
            return [];
        }
    }
}
