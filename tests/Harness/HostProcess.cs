using System.Diagnostics;
using System.Text.Json.Nodes;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>AppHost as a person starts it: a process of its own, with a terminal's signals.</summary>
internal sealed class HostProcess : IAsyncDisposable
{
    private const string Marker = "HYBRID_TEST_RUN";

    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(10);

    private readonly string marker = Guid.NewGuid().ToString("N");
    private readonly Process process;
    private readonly string state;
    private readonly List<string> lines = [];

    /// <param name="state">Its state folder.</param>
    /// <param name="arguments">More of its arguments.</param>
    public HostProcess(string state, params string[] arguments)
    {
        this.state = state;
        // As the leader of a process group, so that a signal to the group is what Ctrl-C in a terminal is.
        var start = new ProcessStartInfo("setsid", [Program, "--state", state, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment[Marker] = marker;
        process = new Process { StartInfo = start };
        process.OutputDataReceived += Collect;
        process.ErrorDataReceived += Collect;
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Everything that it printed.</summary>
    public string Output
    {
        get
        {
            lock (lines)
                return string.Join('\n', lines);
        }
    }

    /// <summary>AppHost in its own output folder, of the configuration that these tests were built in.</summary>
    private static string Program { get; } = Path.Combine(
        Workspace.Root, "AppHost/bin", Path.GetRelativePath(Path.Combine(AppContext.BaseDirectory, "../.."), AppContext.BaseDirectory), "AppHost");

    /// <summary>Waits until it reports that all is healthy.</summary>
    /// <returns>What it wrote into <c>endpoints.json</c>.</returns>
    public async Task<JsonNode> HealthyAsync()
    {
        await Eventually.HoldsAsync("AppHost to report that all is healthy", () => Task.FromResult(Output), output =>
        {
            Assert.False(process.HasExited, $"AppHost ended:\n{output}");
            return output.Contains("All healthy", StringComparison.Ordinal) && output.Contains("endpoints.json", StringComparison.Ordinal);
        }, StartPatience);
        return JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(state, "endpoints.json")))!;
    }

    /// <summary>Sends a signal by its name to the process, or with <paramref name="group"/> to its whole group, as Ctrl-C does.</summary>
    public async Task SignalAsync(string signal, bool group = false) =>
        await Subprocess.RunAsync("sh", ["-c", $"kill -s {signal} -- {(group ? "-" : "")}{process.Id}"]);

    /// <summary>Waits for its end.</summary>
    /// <returns>The exit code.</returns>
    public async Task<int> EndedAsync(TimeSpan patience)
    {
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(patience);
        return process.ExitCode;
    }

    /// <summary>The processes that it started and that still run, with everything below them: they inherited its environment.</summary>
    public IReadOnlyList<string> Leftovers() =>
    [
        .. Directory.EnumerateDirectories("/proc").Where(folder => int.TryParse(Path.GetFileName(folder), out var id) && id != process.Id).Select(Describe).OfType<string>(),
    ];

    /// <summary>Ends it and everything that it started.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }
        await Eventually.HoldsAsync("AppHost's processes to be gone", () => Task.FromResult(Leftovers()), left => left.Count == 0);
        process.Dispose();
    }

    private string? Describe(string folder)
    {
        try
        {
            return File.ReadAllText(Path.Combine(folder, "environ")).Contains($"{Marker}={marker}", StringComparison.Ordinal)
                ? $"{Path.GetFileName(folder)} {File.ReadAllText(Path.Combine(folder, "cmdline")).Replace('\0', ' ')}"
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has just ended, or belongs to another user.
            return null;
        }
    }

    private void Collect(object sender, DataReceivedEventArgs e)
    {
        if (e.Data is null)
            return;
        lock (lines)
            lines.Add(e.Data);
    }
}
