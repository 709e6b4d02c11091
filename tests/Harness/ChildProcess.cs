using System.Collections.Concurrent;
using System.Diagnostics;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>A server or service that tests keep running. Its last lines are kept, and it is ended by a signal, as a host does it.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const int KeptLines = 400;

    /// <summary>How long it may take to end: a drain has a deadline of 10 s in every program of ours.</summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(15);

    private readonly Process process;
    private readonly string endSignal;
    private readonly ConcurrentQueue<string> lines = new();

    private ChildProcess(string name, Process process, string endSignal)
    {
        Name = name;
        this.process = process;
        this.endSignal = endSignal;
    }

    public string Name { get; }

    /// <param name="command">The program and its arguments.</param>
    /// <param name="environment">Added to the inherited environment; a null value removes a variable.</param>
    /// <param name="endSignal">The signal that asks it to end, without SIG.</param>
    public static ChildProcess Start(
        string name, IReadOnlyList<string> command, string workingDirectory, IEnumerable<KeyValuePair<string, string?>>? environment = null, string endSignal = "TERM")
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            WorkingDirectory = workingDirectory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (variable, value) in environment ?? [])
            start.Environment[variable] = value;
        var child = new ChildProcess(name, new Process { StartInfo = start }, endSignal);
        child.process.OutputDataReceived += child.Keep;
        child.process.ErrorDataReceived += child.Keep;
        child.process.Start();
        child.process.BeginOutputReadLine();
        child.process.BeginErrorReadLine();
        return child;
    }

    /// <summary>The last lines that it printed on both streams.</summary>
    public IReadOnlyList<string> Tail(int count) => [.. lines.TakeLast(count)];

    /// <summary>Waits until a condition of the process holds.</summary>
    /// <exception cref="InvalidOperationException">It ended before that; the message carries its last lines.</exception>
    public async Task WaitAsync(string what, Func<Task<bool>> holds, Func<Exception, bool> retryOn)
    {
        try
        {
            await Eventually.HoldsAsync($"{Name} {what}", AskAsync, answer => answer, retryOn: retryOn);
        }
        catch (TimeoutException e)
        {
            throw new InvalidOperationException($"{e.Message}\n{string.Join('\n', Tail(40))}", e);
        }

        Task<bool> AskAsync() => process.HasExited
            ? throw new InvalidOperationException($"{Name} ended with {process.ExitCode}:\n{string.Join('\n', Tail(40))}")
            : holds();
    }

    /// <summary>Asks it to end, and kills it and its children when it does not end in time.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            if (process.HasExited)
                return;
            await Subprocess.RunAsync("sh", ["-c", $"kill -s {endSignal} {process.Id}"]);
            using var deadline = new CancellationTokenSource(EndPatience);
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
        }
        finally
        {
            process.Dispose();
        }
    }

    private void Keep(object sender, DataReceivedEventArgs e)
    {
        if (e.Data is null)
            return;
        lines.Enqueue(e.Data);
        while (lines.Count > KeptLines)
            lines.TryDequeue(out _);
    }
}
