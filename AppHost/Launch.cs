using Hybrid.Toolchain;

namespace Hybrid.AppHost;

/// <summary>From the command line to a running topology: options, preparation, host, session. Whatever is missing ends it in one clear line.</summary>
internal static class Launch
{
    /// <param name="describe">Wires the resources.</param>
    /// <returns>The process's exit code.</returns>
    public static async Task<int> RunAsync(string[] args, Func<IDistributedApplicationBuilder, Preparation, Topology> describe)
    {
        if (!AppHostOptions.TryParse(args, out var options, out var exitCode))
            return exitCode;
        using var signals = new StopSignals();
        try
        {
            using var prepared = await Preparation.RunAsync(options, signals.Token);
            var builder = DistributedApplication.CreateBuilder(options.HostArguments);
            builder.Configuration["LocalHosting:StateDirectory"] = prepared.State.Root;
            builder.Configuration["LocalHosting:TelemetryPort"] = $"{prepared.Ports.Telemetry}";
            builder.Configuration["LocalHosting:Reason"] = HostChoice.Reason;
            var topology = describe(builder, prepared);
            await using var app = builder.Build();
            return await new Session(app, topology, options, prepared).RunAsync(signals.Token);
        }
        catch (SetupException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return 1;
        }
        catch (DistributedApplicationException e)
        {
            // LocalHosting has already said in one line what stopped it.
            if (HostChoice.UsesAspire)
                await Console.Error.WriteLineAsync(e.Message);
            return 1;
        }
        catch (OperationCanceledException) when (signals.Token.IsCancellationRequested)
        {
            return 1;
        }
    }
}
