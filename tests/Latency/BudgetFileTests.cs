namespace Hybrid.Tests.Latency;

public sealed class BudgetFileTests
{
    private static readonly NoisePolicy Noise = new("", Rounds: 3, SecondsPerRound: 0, Attempts: 2);
    private static readonly Budget Ratio = new("ratio", "", "", Percentile: 50, MaxRatio: 3);
    private static readonly Budget Time = new("time", "", "", Percentile: 99, MaxMilliseconds: 5, CalmMilliseconds: 1);

    [Fact]
    public async Task A_call_within_its_budget_passes_and_one_beyond_it_fails()
    {
        // The third round is one that the machine disturbed.
        await EnforceAsync(Ratio, [100, 100, 100], [290, 290, 900]);
        await EnforceAsync(Time, [900], [4_900]);
        await Assert.ThrowsAsync<BudgetBreachedException>(() => EnforceAsync(Ratio, [100], [310]));
        await Assert.ThrowsAsync<BudgetBreachedException>(() => EnforceAsync(Time, [900], [5_100]));
    }

    [Fact]
    public async Task A_breach_counts_only_when_it_is_seen_in_all_attempts() => await EnforceAsync(Ratio, [100], [310, 310, 310, 200]);

    [Fact]
    public async Task What_a_busy_machine_measures_is_neither_a_pass_nor_a_breach()
    {
        await SkippedAsync(Time, [1_100], [1_200]);
        await SkippedAsync(Time, [1_100], [5_100]);
        await SkippedAsync(Ratio, [null], [200]);
        await EnforceAsync(Ratio, [null, 100], [null, 200]);
        // The generator keeps up with the baseline and never with the call: that is the call's fault.
        await Assert.ThrowsAsync<BudgetBreachedException>(() => EnforceAsync(Ratio, [100], [null]));
    }

    [Fact]
    public void Every_budget_is_complete()
    {
        var file = BudgetFile.Load();
        Assert.NotEmpty(file.Noise.Policy);
        Assert.NotEmpty(file.Budgets);
        Assert.All(file.Budgets, b => Assert.True(b is { Percentile: 50 or 99, Hop.Length: > 0, Baseline.Length: > 0 } and ({ MaxRatio: > 1 } or { MaxMilliseconds: > 0, CalmMilliseconds: > 0 }), b.Name));
    }

    private static async Task SkippedAsync(Budget budget, double?[] baseline, double?[] measured)
    {
        try
        {
            await EnforceAsync(budget, baseline, measured);
        }
        catch (Xunit.Sdk.SkipException)
        {
            return;
        }
        Assert.Fail($"{budget.Name} counted.");
    }

    private static Task EnforceAsync(Budget budget, double?[] baseline, double?[] measured) =>
        new BudgetEnforcement(Noise, _ => { }).EnforceAsync(budget, Script(baseline), Script(measured));

    /// <summary>Rounds with these results; the last is repeated.</summary>
    private static Round Script(double?[] results)
    {
        var next = 0;
        return () => Task.FromResult(results[Math.Min(next++, results.Length - 1)]);
    }
}
