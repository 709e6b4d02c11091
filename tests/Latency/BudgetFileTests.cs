namespace Hybrid.Tests.Latency;

public sealed class BudgetFileTests
{
    [Fact]
    public async Task A_call_within_its_budget_passes_and_one_beyond_it_fails()
    {
        var noise = new NoisePolicy("", Rounds: 3, SecondsPerRound: 0.2, Attempts: 2);
        var budget = new Budget("test", "none", "5 ms", Percentile: 50, RatePerSecond: 50, MaxRatio: 3);
        var enforcement = new BudgetEnforcement(noise, _ => { });
        static Func<Task> Takes(int milliseconds) => () => Task.Delay(milliseconds);

        await enforcement.EnforceAsync(budget, Takes(5), Takes(6), TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<BudgetBreachedException>(
            () => enforcement.EnforceAsync(budget, Takes(5), Takes(60), TestContext.Current.CancellationToken));
    }

    [Fact]
    public void Every_budget_is_complete()
    {
        var file = BudgetFile.Load();
        Assert.NotEmpty(file.Noise.Policy);
        Assert.NotEmpty(file.Budgets);
        Assert.All(file.Budgets, b => Assert.True(b is { Percentile: > 0 and < 100, RatePerSecond: > 0, MaxRatio: > 1, Hop.Length: > 0, Baseline.Length: > 0 }, b.Name));
    }
}
