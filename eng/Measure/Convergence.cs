namespace Hybrid.Measure;

/// <summary>From a write's commit to its application by every node.</summary>
internal static class Convergence
{
    private const int Changes = 200;

    public static async Task ReportAsync(RunningSystem system)
    {
        var times = new List<TimeSpan>();
        for (var i = 0; i < Changes; i++)
            times.Add(await system.ChangeAndWaitAsync(2_000 + i));
        times.Sort();
        Console.WriteLine(
            $"Commit to both replicas applied, {Changes} changes: median {times[Changes / 2].TotalMilliseconds:0.0} ms, P99 {times[(Changes * 99 / 100) - 1].TotalMilliseconds:0.0} ms");
    }
}
