using Hybrid.Toolchain;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.AppHost.Running;

internal static class RunExtensions
{
    /// <summary>Runs until the application is stopped. What keeps it from starting is one line on standard error.</summary>
    /// <returns>The exit code: 0, or 1 when it could not start or a check failed.</returns>
    public static async Task<int> RunToExitCodeAsync(this DistributedApplication app)
    {
        try
        {
            await using (app)
            {
                // A start that is stopped half-way ends without the host's own stop; its preparations are cancelled, and end here.
                var preparations = app.Services.GetRequiredService<PreparationTracker>();
                try
                {
                    await app.RunAsync();
                }
                finally
                {
                    await preparations.WhenIdleAsync();
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
}
