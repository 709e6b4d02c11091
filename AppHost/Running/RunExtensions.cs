using System.Runtime.InteropServices;
using Hybrid.AppHost.Hosting;
using Hybrid.Toolchain;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Running;

internal static class RunExtensions
{
    /// <summary>Name that Aspire gives its dashboard among the resources.</summary>
    private const string Dashboard = "aspire-dashboard";

    /// <summary>By convention 128 and the number of SIGINT.</summary>
    private const int Interrupted = 130;

    /// <summary>Runs until the application is stopped. What keeps it from starting is one line on standard error.</summary>
    /// <returns>The exit code: 0, or 1 when it could not start or a check failed.</returns>
    public static async Task<int> RunToExitCodeAsync(this DistributedApplication app)
    {
        // The first signal begins the host's orderly stop; a second one ends it at once, and the orchestrator then ends what is left.
        var (signals, terminal) = (0, app.Services.GetRequiredService<ILogger<PlainLines>>());
        void OnSignal(PosixSignalContext context)
        {
            if (Interlocked.Increment(ref signals) > 1)
                Environment.Exit(Interrupted);
            terminal.LogInformation("Stopping in order. A second Ctrl-C ends everything at once.");
        }

        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        try
        {
            await using (app)
            {
                var preparations = app.Services.GetRequiredService<Preparations>();
                using var ended = new CancellationTokenSource();
                // It begins before the orchestrator starts, whose start lasts until every resource has started.
                var report = app.Services.GetRequiredService<StartReport>().RunAsync(ended.Token);
                try
                {
                    await app.RunAsync();
                }
                finally
                {
                    await ended.CancelAsync();
                    await report;
                    // A start that is stopped half-way ends without the host's own stop; its preparations are cancelled, and end here,
                    // so that no compiler outlives the host.
                    await preparations.WaitForAllAsync();
                }
            }
            return Environment.ExitCode;
        }
        catch (Exception e) when (e is SetupException or DistributedApplicationException)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return 1;
        }
    }

    public static bool IsDashboard(this IResource resource) => resource.Name == Dashboard;

    /// <summary>Whether it runs as a process or container of the topology.</summary>
    public static bool IsProgram(this IResource resource) => (resource is ExecutableResource || resource.IsContainer()) && !resource.IsDashboard();
}
