using System.Collections.Concurrent;
using System.Diagnostics;

namespace Hybrid.Tests.Latency;

/// <summary>
/// Calls at a fixed rate, whether or not earlier calls have come back, and times each from the moment it was meant to start. So
/// a server that stalls is charged for everybody who would have waited (no coordinated omission).
/// </summary>
internal static class OpenLoop
{
    private static readonly TimeSpan SleepGrain = TimeSpan.FromMilliseconds(1);

    /// <returns>The latencies, sorted.</returns>
    public static async Task<TimeSpan[]> RunAsync(Func<Task> call, int ratePerSecond, TimeSpan duration, CancellationToken cancellationToken)
    {
        var calls = new Task[(int)(ratePerSecond * duration.TotalSeconds)];
        var latencies = new ConcurrentBag<TimeSpan>();
        var start = Stopwatch.GetTimestamp();

        void SendOnSchedule()
        {
            for (var i = 0; i < calls.Length; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var intended = start + (long)((double)i / ratePerSecond * Stopwatch.Frequency);
                // A late wake-up sends what is due at once; its lateness is part of the latency, as it is for the baseline.
                while (Stopwatch.GetTimestamp() < intended)
                    Thread.Sleep(SleepGrain);
                calls[i] = TimeAsync(intended);
            }
        }

        async Task TimeAsync(long intended)
        {
            await call();
            latencies.Add(Stopwatch.GetElapsedTime(intended));
        }

        await Task.Factory.StartNew(SendOnSchedule, cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Task.WhenAll(calls);
        return [.. latencies.Order()];
    }

    public static TimeSpan Percentile(this TimeSpan[] sorted, double percentile) =>
        sorted[Math.Clamp((int)Math.Ceiling(percentile / 100 * sorted.Length) - 1, 0, sorted.Length - 1)];
}
