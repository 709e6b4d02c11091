namespace Hybrid.Tests.Latency;

/// <summary>The budget was exceeded in every attempt that counted.</summary>
public sealed class BudgetBreachedException(string message) : Exception(message);

/// <summary>Measures one hop beside its baseline, and fails when it costs more than its budget allows.</summary>
internal sealed class BudgetEnforcement(NoisePolicy noise, Action<string> report)
{
    /// <param name="baseline">Measures a round: the budget's percentile in microseconds; infinity when the calls were not sent when they were due.</param>
    /// <param name="hop">The same, of what the budget is for.</param>
    /// <exception cref="BudgetBreachedException">The limit was exceeded in as many attempts as the policy asks for.</exception>
    public async Task EnforceAsync(Budget budget, Func<Task<double>> baseline, Func<Task<double>> hop)
    {
        List<string> breaches = [], discarded = [];
        while (breaches.Count < noise.Attempts && discarded.Count < noise.Attempts)
        {
            List<double> references = [], values = [];
            for (var round = 0; round < noise.Rounds; round++)
            {
                references.Add(await baseline());
                values.Add(await hop());
            }
            var (reference, value) = (Median(references), Median(values));
            var limit = budget.MaxRatio * reference ?? budget.MaxMilliseconds * 1_000 ?? throw new InvalidDataException($"{budget.Name} has no limit.");
            var figures = $"P{budget.Percentile} {value:0} µs, baseline {reference:0} µs, ratio {value / reference:0.00}, limit {limit:0} µs; "
                + $"rounds of the baseline {string.Join(' ', references)}, of the hop {string.Join(' ', values)}";
            report($"{budget.Name}: {figures}");

            // A hop that alone cannot keep up breaks its budget; one beside a baseline that cannot either is on a busy machine.
            var isDisturbed = double.IsInfinity(reference) || reference > budget.CalmMilliseconds * 1_000
                || (double.IsInfinity(value) && references.Any(double.IsInfinity));
            if (isDisturbed)
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

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
