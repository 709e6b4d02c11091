using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Processes;

namespace Aspire.Hosting.Running;

/// <summary>Runs a process, and starts it again when it crashes.</summary>
internal sealed class ProcessRunner(ResourceInstance instance, bool isJob, RunnerServices services) : Runner(instance, services)
{
    private const int NotStartedCode = 127;

    protected override async Task RunAsync(CancellationToken stop)
    {
        var backoff = new Backoff(Random.Shared.NextDouble);
        for (var restarts = 0; ; restarts++)
        {
            ProcessRun run;
            try
            {
                run = await RunOnceAsync(restarts, stop).ConfigureAwait(false);
            }
            catch (DistributedApplicationException e) when (restarts > 0)
            {
                // It could start once, so it may again: a new build may be just in the making.
                Services.Log.Say(e.Message);
                run = new(NotStartedCode, TimeSpan.Zero);
            }

            stop.ThrowIfCancellationRequested();

            if (isJob)
            {
                Publish(s => s with { State = run.ExitCode == 0 ? KnownResourceStates.Finished : KnownResourceStates.Exited });
                Services.Log.Say(run.ExitCode == 0 ? $"{Instance.Id} has finished" : $"{Instance.Id} exited with {ExitCodes.Describe(run.ExitCode)}");
                return;
            }

            if (run.ExitCode == ExitCodes.BadConfiguration && restarts == 0 && !HasWorked(run))
            {
                Services.Log.Say($"{Instance.Id} exited with {ExitCodes.Describe(run.ExitCode)}; it is not started again");
                Publish(s => s with { State = KnownResourceStates.FailedToStart });
                return;
            }

            var wait = backoff.Next(run.HealthyFor);
            Services.Log.Say($"{Instance.Id} exited with {ExitCodes.Describe(run.ExitCode)}; restart {restarts + 1} in {wait.TotalSeconds:0.0} s");
            await Task.Delay(wait, Services.Time, stop).ConfigureAwait(false);
        }
    }

    // Where nothing checks, only time can tell.
    private bool HasWorked(ProcessRun run) => Resource.TryGetLastAnnotation<HealthCheckAnnotation>(out _)
        ? run.HealthyFor > TimeSpan.Zero
        : run.HealthyFor >= Backoff.ResetAfter;

    private async Task<ProcessRun> RunOnceAsync(int restarts, CancellationToken stop)
    {
        Publish(s => s with { State = KnownResourceStates.Starting, ExitCode = null, Restarts = restarts });
        var spec = await Services.Plan.ResolveAsync(Instance, stop).ConfigureAwait(false);
        using var process = ChildProcess.Start(spec, OnLine);
        Services.Records.Records.Add(Instance.Id, process.Id);
        Publish(s => s with { State = KnownResourceStates.Running, ProcessId = process.Id, StartTimeStamp = Services.Time.GetUtcNow().UtcDateTime });

        long? healthySince = null;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var watch = WatchHealthAsync(() => healthySince ??= Services.Time.GetTimestamp(), ended.Token);
        try
        {
            return new(await process.Exited.WaitAsync(stop).ConfigureAwait(false), HealthyFor());
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            Publish(s => s with { State = KnownResourceStates.Stopping, HealthStatus = null });
            if (!await process.StopAsync(Services.StopGrace.Value, KillNow).ConfigureAwait(false))
                Services.Log.Say($"{Instance.Id} was killed{(KillNow.IsCancellationRequested ? "" : $": it had not ended {Services.StopGrace.Value.TotalSeconds:0} s after it was asked to")}");
            return new(await process.Exited.ConfigureAwait(false), HealthyFor());
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await watch.ConfigureAwait(false);
            Services.Records.Records.Remove(process.Id);
            Publish(s => s with { State = KnownResourceStates.Exited, HealthStatus = null, ProcessId = null, ExitCode = process.Exited.IsCompletedSuccessfully ? process.Exited.Result : null });
        }

        TimeSpan HealthyFor() => healthySince is { } since ? Services.Time.GetElapsedTime(since) : TimeSpan.Zero;
    }

    private void OnLine(string line, bool isError)
    {
        Services.Logs.Append(Instance.Id, line, isError);
        Services.Console.WriteLine(Instance.Id, line);
    }

    private readonly record struct ProcessRun(int ExitCode, TimeSpan HealthyFor);
}
