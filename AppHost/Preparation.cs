using Hybrid.Toolchain;

namespace Hybrid.AppHost;

/// <summary>What must be there before the topology can be described: tools, built programs, a state folder, ports.</summary>
internal sealed record Preparation(ToolSet Tools, Programs Programs, StateFolder State, Ports Ports) : IDisposable
{
    public void Dispose() => State.Dispose();

    /// <returns>Null when something is missing (then it has been said), or when the start was called off.</returns>
    public static async Task<Preparation?> TryRunAsync(AppHostOptions options, CancellationToken stopping)
    {
        try
        {
            var progress = new Progress();
            var tools = await Setup.RunAsync(progress, stopping);
            var programs = await Programs.BuildAsync(tools, progress, stopping);
            return new Preparation(
                tools, programs, new StateFolder(options.State, options.Fresh), options.RandomPorts ? Ports.Free() : Ports.Documented);
        }
        catch (SetupException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return null;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            return null;
        }
    }
}
