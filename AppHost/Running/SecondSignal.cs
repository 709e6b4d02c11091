using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace Hybrid.AppHost.Running;

/// <summary>A second Ctrl-C or SIGTERM ends the host at once; the orchestrator then ends what is left.</summary>
internal sealed class SecondSignal : IHostedLifecycleService, IDisposable
{
    /// <summary>By convention 128 and the number of SIGINT.</summary>
    private const int Interrupted = 130;

    private readonly List<PosixSignalRegistration> registrations = [];
    private int signals;

    public Task StartingAsync(CancellationToken cancellationToken)
    {
        foreach (var signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM])
            registrations.Add(PosixSignalRegistration.Create(signal, OnSignal));
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => registrations.ForEach(registration => registration.Dispose());

    private void OnSignal(PosixSignalContext context)
    {
        // The host's own handler of the first one begins the orderly stop.
        context.Cancel = true;
        if (Interlocked.Increment(ref signals) > 1)
            Environment.Exit(Interrupted);
    }
}
