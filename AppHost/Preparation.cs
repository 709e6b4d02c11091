using Hybrid.Toolchain;

namespace Hybrid.AppHost;

/// <summary>What must be there before the topology can be described: tools, built programs, a state folder, ports.</summary>
internal sealed record Preparation(ToolSet Tools, StateFolder State, Ports Ports) : IDisposable
{
    /// <exception cref="SetupException">Something is missing; the message says what to do.</exception>
    public static async Task<Preparation> RunAsync(AppHostOptions options, CancellationToken stopping)
    {
        var progress = new Progress();
        var tools = await Setup.RunAsync(progress, stopping);
        await Programs.BuildControlPlaneAsync(progress, stopping);
        await Programs.BuildRustAsync(progress, stopping);
        return new Preparation(
            tools, new StateFolder(options.State, options.Fresh), options.RandomPorts ? Ports.Free() : Ports.Documented);
    }

    public void Dispose() => State.Dispose();
}
