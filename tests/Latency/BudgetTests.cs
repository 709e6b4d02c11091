using Xunit.Sdk;

namespace Hybrid.Tests.Latency;

public sealed class BudgetTests
{
    private const double Never = double.PositiveInfinity;

    private static readonly Budget Ratio = new("ratio", "", "", Percentile: 50, MaxRatio: 3);
    private static readonly Budget Time = new("time", "", "", Percentile: 99, MaxMilliseconds: 5, CalmMilliseconds: 1);

    /// <summary>A budget, the results of its rounds, of which the last is repeated, and how the enforcement ends.</summary>
    public static TheoryData<string, Budget, double[], double[], Type?> Cases => new()
    {
        { "within, though the machine disturbed the third round", Ratio, [100], [290, 290, 900], null },
        { "within, though one round was never measured", Ratio, [100, Never, 100], [200, Never, 200], null },
        { "beyond, though every other round is disturbed", Ratio, [100, Never, 100, Never, 100, Never, 100, Never, 100, Never, 100], [310], typeof(BudgetBreachedException) },
        { "within the time, though the first rounds are not calm", Time, [1_100, 1_200, 900], [4_900], null },
        { "beyond in the first attempt only", Ratio, [100], [310, 310, 310, 200], null },
        { "beyond the ratio", Ratio, [100], [310], typeof(BudgetBreachedException) },
        { "within the time", Time, [900], [4_900], null },
        { "beyond the time", Time, [900], [5_100], typeof(BudgetBreachedException) },
        { "the generator keeps up with the baseline and never with the hop", Ratio, [100], [Never], typeof(BudgetBreachedException) },
        { "within on a busy machine", Time, [1_100], [1_200], typeof(SkipException) },
        { "beyond on a busy machine", Time, [1_100], [5_100], typeof(SkipException) },
        { "the generator does not keep up with the baseline", Ratio, [Never], [200], typeof(SkipException) },
        { "the generator keeps up with neither", Ratio, [Never, 100, 100, 100, Never, 100, 100, 100, Never], [Never], typeof(SkipException) },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_breach_counts_when_it_is_seen_in_all_attempts_on_a_calm_machine(string name, Budget budget, double[] baseline, double[] hop, Type? end)
    {
        var enforcement = new BudgetEnforcement(new NoisePolicy(name, Rounds: 3, SecondsPerRound: 0, Attempts: 2, MaxDropped: 6), _ => { });
        Type? seen = null;
        try
        {
            await enforcement.EnforceAsync(budget, Script(baseline), Script(hop));
        }
        catch (Exception e) when (e is BudgetBreachedException or SkipException)
        {
            seen = e.GetType();
        }
        Assert.Equal(end, seen);
    }

    private static Func<Task<double>> Script(double[] results)
    {
        var next = 0;
        return () => Task.FromResult(results[Math.Min(next++, results.Length - 1)]);
    }
}
