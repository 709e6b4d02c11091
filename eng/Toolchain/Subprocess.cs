using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;

namespace Hybrid.Toolchain;

/// <summary>What a finished program left behind: its exit code and what it printed on both streams, in order of arrival.</summary>
public sealed record SubprocessResult(int ExitCode, string Output)
{
    public bool Succeeded => ExitCode == 0;

    /// <summary>The last lines of the output, for an error message.</summary>
    public string Tail(int lines = 15) => string.Join('\n', Output.TrimEnd().Split('\n').TakeLast(lines));

    /// <exception cref="SetupException">The program failed; the message ends with the last lines of its output.</exception>
    internal void ThrowIfFailed(string message, int lines = 15)
    {
        if (!Succeeded)
            throw new SetupException($"{message}\n{Tail(lines)}");
    }
}

/// <summary>Runs programs to their end.</summary>
public static class Subprocess
{
    /// <param name="environment">Added to the inherited environment; a null value removes a variable.</param>
    /// <param name="timeout">After it the program is killed with its children.</param>
    /// <param name="onLine">Called for each line as it comes; not on one thread.</param>
    /// <param name="input">What the program reads from its standard input; it is closed after that.</param>
    /// <returns>As with a shell, the exit code is 127 when the program is not there, and 124 when it did not end in time.</returns>
    public static async Task<SubprocessResult> RunAsync(
        string program, IEnumerable<string> arguments, string? workingDirectory = null, IEnumerable<KeyValuePair<string, string?>>? environment = null,
        TimeSpan? timeout = null, Action<string>? onLine = null, string? input = null, CancellationToken cancellationToken = default)
    {
        using var process = new Process();
        process.StartInfo = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = workingDirectory ?? Workspace.Root,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment ?? [])
            process.StartInfo.Environment[name] = value;

        var lines = new ConcurrentQueue<string>();
        void Collect(object sender, DataReceivedEventArgs e)
        {
            if (e.Data is null)
                return;
            lines.Enqueue(e.Data);
            onLine?.Invoke(e.Data);
        }

        process.OutputDataReceived += Collect;
        process.ErrorDataReceived += Collect;
        SubprocessResult Result(int exitCode) => new(exitCode, string.Concat(lines.Select(line => line + '\n')));

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            process.Start();
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            deadline.CancelAfter(timeout ?? Timeout.InfiniteTimeSpan);
            await WriteAsync(process.StandardInput, input);
            await process.WaitForExitAsync(deadline.Token);
            return Result(process.ExitCode);
        }
        catch (Win32Exception e)
        {
            return new SubprocessResult(127, $"{program}: {e.Message}");
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit(TimeSpan.FromSeconds(5));
            cancellationToken.ThrowIfCancellationRequested();
            lines.Enqueue($"{program}: no end within {timeout}");
            return Result(124);
        }
    }

    /// <summary>Full path of a program on PATH, or null.</summary>
    public static string? Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program)).FirstOrDefault(IsThere);

    /// <summary>Whether a file is there, and not only a link to one that is gone.</summary>
    internal static bool IsThere(string path) => File.Exists(path) && File.ResolveLinkTarget(path, returnFinalTarget: true) is not { Exists: false };

    private static async Task WriteAsync(StreamWriter standardInput, string? input)
    {
        try
        {
            await using (standardInput)
                await standardInput.WriteAsync(input);
        }
        catch (IOException)
        {
            // The program ended without reading its input; its exit code says the rest.
        }
    }
}
