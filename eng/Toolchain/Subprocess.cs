using System.Diagnostics;
using System.Text;

namespace Hybrid.Toolchain;

/// <summary>What a finished program left behind: its exit code and what it printed on both streams, in order of arrival.</summary>
public sealed record SubprocessResult(int ExitCode, string Output)
{
    public bool Succeeded => ExitCode == 0;

    /// <summary>The last lines of the output, for an error message.</summary>
    public string Tail(int lines = 15) => string.Join('\n', Output.TrimEnd().Split('\n').TakeLast(lines));
}

/// <summary>Runs programs to their end.</summary>
public static class Subprocess
{
    /// <summary>Exit code of a program that did not end in time and was killed.</summary>
    public const int TimedOut = 124;

    /// <summary>Exit code of a program that is not there.</summary>
    public const int NotFound = 127;

    private static readonly TimeSpan KillPatience = TimeSpan.FromSeconds(5);

    /// <param name="environment">Added to the inherited environment; a null value removes a variable.</param>
    /// <param name="input">What the program reads from its standard input; it is closed after that.</param>
    /// <param name="onLine">Called for each line as it comes; not on one thread.</param>
    public static async Task<SubprocessResult> RunAsync(
        string program,
        IEnumerable<string> arguments,
        string? workingDirectory = null,
        IEnumerable<KeyValuePair<string, string?>>? environment = null,
        TimeSpan? timeout = null,
        Action<string>? onLine = null,
        string? input = null,
        CancellationToken cancellationToken = default)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = workingDirectory ?? Workspace.Root,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment ?? [])
            start.Environment[name] = value;

        var output = new StringBuilder();
        void Collect(object sender, DataReceivedEventArgs e)
        {
            if (e.Data is null)
                return;
            lock (output)
                output.Append(e.Data).Append('\n');
            onLine?.Invoke(e.Data);
        }

        using var process = new Process { StartInfo = start };
        process.OutputDataReceived += Collect;
        process.ErrorDataReceived += Collect;
        try
        {
            process.Start();
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return new SubprocessResult(NotFound, $"{program}: {e.Message}");
        }
        try
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The program ended without reading its input; its exit code says the rest.
        }
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        if (timeout is { } limit)
            deadline.CancelAfter(limit);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit(KillPatience);
            cancellationToken.ThrowIfCancellationRequested();
            lock (output)
                return new SubprocessResult(TimedOut, output + $"{program}: no end within {timeout}");
        }
        lock (output)
            return new SubprocessResult(process.ExitCode, output.ToString());
    }

    /// <summary>Full path of a program on PATH, or null.</summary>
    public static string? Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, program)).FirstOrDefault(IsThere);

    /// <summary>Whether a file is there, and not only a link to one that is gone.</summary>
    public static bool IsThere(string path) => File.Exists(path) && File.ResolveLinkTarget(path, returnFinalTarget: true) is not { Exists: false };
}
