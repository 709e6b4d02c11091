namespace Hybrid.Tests.Latency;

/// <summary>The budget was exceeded in every attempt that counted.</summary>
public sealed class BudgetBreachedException(string message) : Exception(message);

/// <summary>Measures a call.</summary>
/// <returns>The budget's percentile in microseconds; null when the calls were not sent when they were due.</returns>
internal delegate Task<double?> Round();

/// <summary>Measures one hop beside its baseline, and fails when it costs more than its budget allows.</summary>
internal sealed class BudgetEnforcement(NoisePolicy noise, Action<string> report)
{
    /// <exception cref="BudgetBreachedException">The limit was exceeded in as many attempts as the policy asks for.</exception>
    public async Task EnforceAsync(Budget budget, Round baseline, Round measured)
    {
        List<string> breaches = [], discarded = [];
        while (breaches.Count < noise.Attempts && discarded.Count < noise.Attempts)
        {
            var (reference, value) = await MeasureAsync(baseline, measured);
            var limit = budget.MaxRatio is { } ratio ? ratio * reference : budget.MaxMilliseconds * 1_000;
            var figures = $"P{budget.Percentile} {value:0} µs, baseline {reference:0} µs, ratio {value / reference:0.00}, limit {limit:0} µs";
            report($"{budget.Name}: {figures}");
            if (double.IsNaN(reference) || reference > budget.CalmMilliseconds * 1_000)
                discarded.Add(figures);
            else if (value > limit)
                breaches.Add(figures);
            else
                return;
        }
        if (breaches.Count == noise.Attempts)
            throw new BudgetBreachedException($"{budget.Name} ({budget.Hop}) exceeds its budget in {breaches.Count} attempts:\n{string.Join('\n', breaches)}");
        Assert.Skip($"The machine is too busy to measure {budget.Name}; {discarded.Count} attempts do not count:\n{string.Join('\n', discarded)}");
    }

    /// <returns>Medians over the rounds. NaN as the baseline: it could not be measured. Infinity as the value: the hop alone could not.</returns>
    private async Task<(double Baseline, double Measured)> MeasureAsync(Round baseline, Round measured)
    {
        List<double> references = [], values = [];
        var (noBaseline, noValue) = (0, 0);
        while (values.Count < noise.Rounds)
        {
            if (noBaseline + noValue > noise.Rounds)
                return noBaseline == 0 && references.Count > 0 ? (Median(references), double.PositiveInfinity) : (double.NaN, double.NaN);
            if (await baseline() is not { } reference)
            {
                noBaseline++;
            }
            else if (await measured() is not { } value)
            {
                noValue++;
                references.Add(reference);
            }
            else
            {
                references.Add(reference);
                values.Add(value);
            }
        }
        report($"  rounds, µs: baseline {string.Join(' ', references)}; measured {string.Join(' ', values)}; measured anew: {noBaseline + noValue}");
        return (Median(references), Median(values));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
