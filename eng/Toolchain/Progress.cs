using System.Diagnostics;

namespace Hybrid.Toolchain;

/// <summary>Says what the set-up is doing: one line when a step starts, now and then while it runs, and when it is done.</summary>
/// <param name="write">Takes one line. The default is standard output.</param>
public sealed class Progress(Action<string>? write = null)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(3);

    private readonly Action<string> write = write ?? Console.WriteLine;

    public static Progress Silent { get; } = new(_ => { });

    public void Say(string line) => write($"[set-up] {line}");

    /// <summary>Runs one step. Its body may report where it stands; such reports are thinned out.</summary>
    public async Task<T> StepAsync<T>(string name, Func<Action<string>, Task<T>> body)
    {
        var clock = Stopwatch.StartNew();
        var lastReport = TimeSpan.Zero;
        Say($"{name} …");
        var result = await body(report =>
        {
            lock (clock)
            {
                if (clock.Elapsed - lastReport < Interval)
                    return;
                lastReport = clock.Elapsed;
            }
            Say($"{name}: {report} ({clock.Elapsed.TotalSeconds:0} s)");
        });
        Say($"{name}: done in {clock.Elapsed.TotalSeconds:0.0} s");
        return result;
    }
}
