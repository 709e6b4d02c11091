using System.Text.Json.Nodes;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>AppHost as a person starts it: a process of its own, with a terminal's signals. The system that it runs can be used once it is healthy.</summary>
internal sealed class HostProcess : RunningSystem
{
    private const string Marker = "HYBRID_TEST_RUN";

    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(10);

    private readonly string marker = Guid.NewGuid().ToString("N");
    private readonly string state;

    /// <param name="state">Its state folder.</param>
    /// <param name="arguments">More of its arguments.</param>
    public HostProcess(string state, params string[] arguments)
    {
        this.state = state;
        // As the leader of a process group, so that a signal to the group is what Ctrl-C in a terminal is. A shell makes what it runs in
        // the background ignore it.
        Process = ChildProcess.Start(
            "AppHost", ["env", "--default-signal=INT", "setsid", Program, "--state", state, .. arguments], Workspace.Root,
            new Dictionary<string, string?> { [Marker] = marker });
    }

    public ChildProcess Process { get; }

    /// <summary>What it printed.</summary>
    public string Output => string.Join('\n', Process.Tail(int.MaxValue));

    /// <summary>AppHost in its own output folder, of the configuration that these tests were built in.</summary>
    private static string Program { get; } = Path.Combine(
        Workspace.Root, "AppHost/bin", Path.GetRelativePath(Path.Combine(AppContext.BaseDirectory, "../.."), AppContext.BaseDirectory), "AppHost");

    public override Task<IReadOnlyList<string>> LogTailAsync(string resource, int lines) => Task.FromResult(Process.Tail(lines));

    /// <summary>The processes that it started and that still run, with everything below them: they inherited its environment.</summary>
    public IReadOnlyList<string> Leftovers() =>
        [.. Directory.EnumerateDirectories("/proc").Where(folder => int.TryParse(Path.GetFileName(folder), out var id) && id != Process.Id)
            .Select(Describe).OfType<string>()];

    /// <summary>Waits until nothing is left of what it started.</summary>
    public Task GoneAsync(TimeSpan? patience = null) =>
        Eventually.BecomesAsync("AppHost's processes to be gone", Leftovers, left => left.Count == 0, patience);

    /// <summary>Waits until it reports that all is healthy.</summary>
    protected override async Task<SystemAddresses> StartAsync()
    {
        await Process.WaitAsync("to report that all is healthy", () => Task.FromResult(Has("All healthy") && Has("endpoints.json")), _ => false, StartPatience);
        return SystemAddresses.Of(JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(state, "endpoints.json")))!);

        bool Has(string text) => Output.Contains(text, StringComparison.Ordinal);
    }

    /// <summary>Ends it, and waits for the end of everything that it started.</summary>
    protected override async Task StopAsync()
    {
        await Process.SignalAsync("KILL");
        await GoneAsync();
        await Process.DisposeAsync();
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
}
