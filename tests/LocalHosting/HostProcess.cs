using System.Diagnostics;
using System.Globalization;

namespace Hybrid.Tests.LocalHosting;

/// <summary>The sample host as a process of its own, to be signalled and killed.</summary>
internal sealed class HostProcess : IDisposable
{
    private readonly Process process;
    private readonly List<string> lines = [];

    public HostProcess(string stateDirectory, params string[] configuration)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "SampleHost.dll"),
            $"LocalHosting:StateDirectory={stateDirectory}", .. configuration])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        process = Process.Start(start)!;
        process.OutputDataReceived += (_, e) => Add(e.Data);
        process.ErrorDataReceived += (_, e) => Add(e.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public int Id => process.Id;

    public bool HasExited => process.HasExited;

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (lines)
                return [.. lines];
        }
    }

    public Task<string> LineAsync(Func<string, bool> predicate, string what) => Eventually.HoldsAsync(
        what, () => Task.FromResult(Lines.FirstOrDefault(predicate) ?? ""), line => line.Length > 0);

    public void Signal(string name)
    {
        using var kill = Process.Start(new ProcessStartInfo("kill", [$"-{name}", Id.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardError = true })!;
        kill.WaitForExit();
    }

    public async Task<int> ExitCodeAsync()
    {
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Eventually.Patience);
        return process.ExitCode;
    }

    public void Dispose()
    {
        process.Kill(entireProcessTree: true);
        process.Dispose();
    }

    private void Add(string? line)
    {
        if (line is null)
            return;
        lock (lines)
            lines.Add(line);
    }
}
