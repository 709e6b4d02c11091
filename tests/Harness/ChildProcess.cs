using System.Collections.Concurrent;
using System.Diagnostics;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>A program that tests keep running. Its last lines are kept, and it is ended by a signal, as a host does it.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private const int KeptLines = 400;
    private const int ReportedLines = 40;

    /// <summary>How long it may take to end: a drain has a deadline of 10 s in every program of ours.</summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(15);

    private readonly Process process;
    private readonly string endSignal;
    private readonly ConcurrentQueue<string> lines = new();

    private ChildProcess(string name, ProcessStartInfo start, string endSignal)
    {
        Name = name;
        this.endSignal = endSignal;
        process = new Process { StartInfo = start };
        process.OutputDataReceived += Keep;
        process.ErrorDataReceived += Keep;
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public string Name { get; }
    public int Id => process.Id;

    /// <param name="command">The program and its arguments.</param>
    /// <param name="environment">Added to the inherited environment; a null value removes a variable.</param>
    /// <param name="endSignal">The signal that asks it to end, without SIG.</param>
    public static ChildProcess Start(
        string name, IReadOnlyList<string> command, string workingDirectory,
        IEnumerable<KeyValuePair<string, string?>>? environment = null, string endSignal = "TERM")
    {
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            WorkingDirectory = workingDirectory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (variable, value) in environment ?? [])
            start.Environment[variable] = value;
        return new ChildProcess(name, start, endSignal);
    }

    /// <summary>The last lines that it printed on both streams.</summary>
    public IReadOnlyList<string> Tail(int count) => [.. lines.TakeLast(count)];

    /// <summary>Waits until a condition of the process holds.</summary>
    /// <exception cref="InvalidOperationException">It ended before that; the message carries its last lines.</exception>
    public async Task WaitAsync(string what, Func<Task<bool>> holds, Func<Exception, bool> retryOn, TimeSpan? patience = null)
    {
        try
        {
            await Eventually.HoldsAsync($"{Name} {what}", AskAsync, answer => answer, patience, retryOn);
        }
        catch (TimeoutException e)
        {
            throw Failure(e.Message);
        }

        Task<bool> AskAsync() => process.HasExited ? throw Failure($"{Name} ended with {process.ExitCode}:") : holds();
    }

    /// <summary>Sends a signal by its name to the process, or to the group of processes that it leads, as Ctrl-C in a terminal does.</summary>
    public async Task SignalAsync(string signal, bool toGroup = false)
    {
        // The id of a process that has ended may be another's by now.
        if (!process.HasExited)
            await Subprocess.RunAsync("sh", ["-c", $"kill -s {signal} -- {(toGroup ? "-" : "")}{process.Id}"]);
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> EndedAsync(TimeSpan patience)
    {
        try
        {
            await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(patience);
            return process.ExitCode;
        }
        catch (TimeoutException)
        {
            throw Failure($"{Name} has not ended within {patience}:");
        }
    }

    /// <summary>Asks it to end, and kills it and its children when it does not end in time.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await SignalAsync(endSignal);
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

    private InvalidOperationException Failure(string message) => new($"{message}\n{string.Join('\n', Tail(ReportedLines))}");

    private void Keep(object sender, DataReceivedEventArgs e)
    {
        if (e.Data is null)
            return;
        lines.Enqueue(e.Data);
        while (lines.Count > KeptLines)
            lines.TryDequeue(out _);
    }
}
