using System.Diagnostics;

namespace Hybrid.Toolchain;

/// <summary>Something is missing that the set-up cannot bring. The message says what to do about it.</summary>
public sealed class SetupException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>Reports what the set-up is doing, one line at a time.</summary>
/// <param name="write">Takes one line, from any thread. The default is standard output, where each line begins with its origin.</param>
public sealed class Progress(Action<string>? write = null)
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LongestSilence = TimeSpan.FromSeconds(10);

    private readonly Action<string> write = write ?? (line => Console.WriteLine($"[set-up] {line}"));

    /// <summary>Discards every line.</summary>
    public static Progress Silent { get; } = new(_ => { });

    public void Say(string line) => write(line);

    /// <summary>
    /// Runs one step. Reports of its body are thinned out, and a step that is silent for long is reported as still running.
    /// A step that ends within a second without a report leaves no line.
    /// </summary>
    public async Task<T> StepAsync<T>(string name, Func<Action<string>, Task<T>> body)
    {
        var clock = Stopwatch.StartNew();
        TimeSpan? last = null;
        void Report(string text, TimeSpan interval)
        {
            lock (clock)
            {
                if (clock.Elapsed - last < interval)
                    return;
                last = clock.Elapsed;
            }
            Say($"{name}: {text} ({clock.Elapsed.TotalSeconds:0} s)");
        }

        T result;
        await using (new Timer(_ => Report("running", LongestSilence), null, Tick, Tick))
            result = await body(text => Report(text, ReportInterval));
        if (last is not null)
            Say($"{name}: done in {clock.Elapsed.TotalSeconds:0.0} s");
        return result;
    }
}
