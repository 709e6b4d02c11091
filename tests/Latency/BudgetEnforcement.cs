namespace Hybrid.Tests.Latency;

/// <summary>The budget was exceeded in every attempt.</summary>
public sealed class BudgetBreachedException(string message) : Exception(message);

/// <summary>Measures one hop against its baseline, and fails when it costs more than its budget allows.</summary>
internal sealed class BudgetEnforcement(NoisePolicy noise, Action<string> report)
{
    /// <exception cref="BudgetBreachedException">The ratio was above the limit in all attempts.</exception>
    public async Task EnforceAsync(Budget budget, Func<Task> baseline, Func<Task> measured, CancellationToken cancellationToken)
    {
        var ratios = new List<double>();
        for (var attempt = 1; attempt <= noise.Attempts; attempt++)
        {
            var (reference, value) = await MeasureAsync(budget, baseline, measured, cancellationToken);
            ratios.Add(value / reference);
            report($"{budget.Name}: P{budget.Percentile:0.#} {value.TotalMicroseconds:0} µs, baseline {reference.TotalMicroseconds:0} µs, ratio {ratios[^1]:0.00}, limit {budget.MaxRatio:0.00}");
            if (ratios[^1] <= budget.MaxRatio)
                return;
        }
        throw new BudgetBreachedException(
            $"{budget.Name} ({budget.Hop}) costs {string.Join(", ", ratios.Select(r => $"{r:0.00}"))} × its baseline ({budget.Baseline}) in {ratios.Count} attempts; the budget is {budget.MaxRatio:0.00}.");
    }

    private async Task<(TimeSpan Baseline, TimeSpan Measured)> MeasureAsync(
        Budget budget, Func<Task> baseline, Func<Task> measured, CancellationToken cancellationToken)
    {
        var duration = TimeSpan.FromSeconds(noise.SecondsPerRound);
        var warmUp = duration / 4;
        await OpenLoop.RunAsync(baseline, budget.RatePerSecond, warmUp, cancellationToken);
        await OpenLoop.RunAsync(measured, budget.RatePerSecond, warmUp, cancellationToken);
        List<TimeSpan> references = [], values = [];
        for (var round = 0; round < noise.Rounds; round++)
        {
            references.Add((await OpenLoop.RunAsync(baseline, budget.RatePerSecond, duration, cancellationToken)).Percentile(budget.Percentile));
            values.Add((await OpenLoop.RunAsync(measured, budget.RatePerSecond, duration, cancellationToken)).Percentile(budget.Percentile));
        }
        return (Median(references), Median(values));
    }

    private static TimeSpan Median(List<TimeSpan> values) => values.Order().ElementAt(values.Count / 2);
}
