namespace Hybrid.Tests.Latency;

/// <summary>The budget was exceeded in every attempt.</summary>
public sealed class BudgetBreachedException(string message) : Exception(message);

/// <summary>Measures one hop beside its baseline, and fails when it costs more than its budget allows.</summary>
internal sealed class BudgetEnforcement(NoisePolicy noise, Action<string> report)
{
    private int dropped;

    /// <param name="baseline">Measures a round: the budget's percentile in microseconds; infinity when too many calls were not sent when they were due.</param>
    /// <param name="hop">The same, of what the budget is for.</param>
    /// <exception cref="BudgetBreachedException">The limit was exceeded in as many attempts as the policy asks for.</exception>
    public async Task EnforceAsync(Budget budget, Func<Task<double>> baseline, Func<Task<double>> hop)
    {
        List<string> breaches = [];
        while (breaches.Count < noise.Attempts)
        {
            var droppedBefore = dropped;
            var (reference, value) = await AttemptAsync(budget, baseline, hop);

            // A hop that alone cannot keep up breaks its budget; one beside a baseline that cannot either is on a busy machine.
            if (double.IsInfinity(value) && dropped > droppedBefore)
            {
                Drop(budget, "the hop did not keep up in most rounds, nor the baseline in all");
                continue;
            }
            var limit = budget.MaxRatio * reference ?? budget.MaxMilliseconds * 1_000 ?? throw new InvalidDataException($"{budget.Name} has no limit.");
            if (value <= limit)
                return;
            breaches.Add($"P{budget.Percentile} {value:0} µs, baseline {reference:0} µs, ratio {value / reference:0.00}, limit {limit:0} µs");
        }
        throw new BudgetBreachedException($"{budget.Name} ({budget.Hop}) exceeds its budget in {breaches.Count} attempts:\n{string.Join('\n', breaches)}");
    }

    /// <summary>The medians of as many rounds as the policy asks for in which the baseline was calm.</summary>
    private async Task<(double Reference, double Value)> AttemptAsync(Budget budget, Func<Task<double>> baseline, Func<Task<double>> hop)
    {
        List<double> references = [], values = [];
        while (references.Count < noise.Rounds)
        {
            var reference = await baseline();
            if (double.IsInfinity(reference) || reference > budget.CalmMilliseconds * 1_000)
            {
                Drop(budget, $"its baseline took {reference:0} µs");
                continue;
            }
            references.Add(reference);
            values.Add(await hop());
        }
        report($"{budget.Name}: P{budget.Percentile} of the baseline {string.Join(' ', references)} µs, of the hop {string.Join(' ', values)} µs");
        return (Median(references), Median(values));
    }

    private void Drop(Budget budget, string why)
    {
        report($"{budget.Name}: dropped, {why}");
        if (++dropped == noise.MaxDropped)
            Assert.Skip($"The machine is too busy to measure {budget.Name}: {dropped} times something was dropped, last because {why}.");
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
