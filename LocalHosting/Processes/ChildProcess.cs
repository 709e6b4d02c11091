using System.ComponentModel;
using System.Diagnostics;

namespace Aspire.Hosting.Processes;

/// <summary>A running program: its lines of output, its end, and how to end it.</summary>
internal sealed class ChildProcess : IDisposable
{
    private readonly Process _process;
    private readonly Thread[] _readers;

    private ChildProcess(Process process, Action<string, bool> onLine)
    {
        _process = process;
        Id = process.Id;
        _readers = [Read(process.StandardOutput, isError: false), Read(process.StandardError, isError: true)];
        Exited = WaitAsync();

        // Pipes have no asynchronous reads: a thread for each keeps the pool free for the rest.
        Thread Read(StreamReader reader, bool isError)
        {
            var thread = new Thread(() => ReadAll(reader, isError)) { IsBackground = true, Name = $"output of {Id}" };
            thread.Start();
            return thread;
        }

        void ReadAll(StreamReader reader, bool isError)
        {
            try
            {
                LineReader.ReadLines(reader, line => onLine(line, isError));
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // The process was disposed of while a grandchild still held the pipe.
            }
        }
    }

    public int Id { get; }

    /// <summary>Completes with the exit code (128 + signal when a signal ended it) once the process has ended and its output is read.</summary>
    public Task<int> Exited { get; }

    /// <summary>Starts a program.</summary>
    /// <param name="spec">What to start.</param>
    /// <param name="onLine">Gets each line, and whether it came from the error stream. Called from two threads.</param>
    /// <exception cref="DistributedApplicationException">The system refused.</exception>
    public static ChildProcess Start(ProcessSpec spec, Action<string, bool> onLine)
    {
        var start = new ProcessStartInfo
        {
            WorkingDirectory = spec.WorkingDirectory,
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        ProcessGroup.Prepare(start, spec);
        foreach (var (name, value) in spec.Environment)
            start.Environment[name] = value;
        try
        {
            var process = Process.Start(start) ?? throw new DistributedApplicationException($"{spec.FileName} could not be started.");
            process.StandardInput.Close();
            return new ChildProcess(process, onLine);
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException or IOException)
        {
            throw new DistributedApplicationException($"{spec.FileName} could not be started: {e.Message}", e);
        }
    }

    /// <summary>Asks the process to end, and kills it with all its descendants when it has not after the grace.</summary>
    /// <returns>Whether it ended by itself.</returns>
    public async Task<bool> StopAsync(TimeSpan grace, CancellationToken killNow)
    {
        var ended = false;
        if (!OperatingSystem.IsWindows() && !killNow.IsCancellationRequested)
        {
            _ = NativeMethods.Kill(Id, NativeMethods.SigTerm);
            try
            {
                await Exited.WaitAsync(grace, killNow).ConfigureAwait(false);
                ended = true;
            }
            catch (Exception e) when (e is TimeoutException or OperationCanceledException)
            {
                // Patience is over.
            }
        }

        KillTree();
        await Exited.ConfigureAwait(false);
        return ended;
    }

    /// <summary>Kills the process and everything that it has started.</summary>
    public void KillTree()
    {
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It has ended already.
        }

        ProcessGroup.Kill(Id);
    }

    public void Dispose() => _process.Dispose();

    private async Task<int> WaitAsync()
    {
        await _process.WaitForExitAsync().ConfigureAwait(false);
        // What it left behind would hold its ports, and its pipes.
        ProcessGroup.Kill(Id);
        await Task.Run(() => Array.ForEach(_readers, r => r.Join(TimeSpan.FromSeconds(0.5)))).ConfigureAwait(false);
        return _process.ExitCode;
    }
}
