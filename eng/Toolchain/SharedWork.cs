namespace Hybrid.Toolchain;

/// <summary>
/// Work that concurrent callers share: it runs once, every caller sees its progress, and it is cancelled when no caller
/// waits for it any longer.
/// </summary>
/// <param name="keep">True to keep a result for later callers, false to do the work again for them. A failure is never kept.</param>
internal sealed class SharedWork<T>(Func<Progress, CancellationToken, Task<T>> work, bool keep)
{
    private readonly Lock gate = new();
    private Run? run;

    private sealed class Run(CancellationTokenSource stop)
    {
        public CancellationTokenSource Stop { get; } = stop;

        public List<Progress> Callers { get; } = [];

        public Task<T> Result { get; set; } = null!;
    }

    public async Task<T> GetAsync(Progress progress, CancellationToken cancellationToken)
    {
        Run current;
        lock (gate)
        {
            if (run is null || (run.Result.IsCompleted && !(keep && run.Result.IsCompletedSuccessfully)))
                run = Start();
            current = run;
            current.Callers.Add(progress);
        }
        try
        {
            return await current.Result.WaitAsync(cancellationToken);
        }
        finally
        {
            await LeaveAsync(current, progress);
        }
    }

    private Run Start()
    {
        var started = new Run(new CancellationTokenSource());
        var everyone = new Progress(line =>
        {
            Progress[] callers;
            lock (gate)
                callers = [.. started.Callers];
            foreach (var caller in callers)
                caller.Say(line);
        });
        started.Result = Task.Run(() => work(everyone, started.Stop.Token));
        return started;
    }

    /// <summary>The last caller to leave ends the work, and returns only when its child processes are gone.</summary>
    private async Task LeaveAsync(Run current, Progress progress)
    {
        lock (gate)
        {
            current.Callers.Remove(progress);
            if (current.Callers.Count > 0 || current.Result.IsCompleted)
                return;
            run = null;
        }
        await current.Stop.CancelAsync();
        await ((Task)current.Result).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
