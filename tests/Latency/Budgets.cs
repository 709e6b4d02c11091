using System.Text.Json;

namespace Hybrid.Tests.Latency;

/// <summary>How much a measurement may waver before it counts. Stated in budgets.json beside the limits.</summary>
/// <param name="MaxDropped">So many measurements may be dropped as disturbed; with the last of them the budget is skipped.</param>
public sealed record NoisePolicy(string Policy, int Rounds, double SecondsPerRound, int Attempts, int MaxDropped);

/// <summary>The limit of one hop: a ratio to a baseline that is measured in the same run, or a time.</summary>
/// <param name="Percentile">50 or 99.</param>
/// <param name="RatePerSecond">Calls a second; null where each call waits for the one before it.</param>
/// <param name="MaxLatePercent">A round in which more of the calls were sent late says nothing of this percentile.</param>
/// <param name="MaxMilliseconds">The limit where it is a time.</param>
/// <param name="CalmMilliseconds">A measurement counts only while the baseline stays below this.</param>
public sealed record Budget(
    string Name, string Hop, string Baseline, double Percentile, int? RatePerSecond = null,
    double MaxLatePercent = 0, double? MaxRatio = null, double? MaxMilliseconds = null, double? CalmMilliseconds = null);

/// <summary>The one file of latency budgets.</summary>
public sealed record BudgetFile(NoisePolicy Noise, IReadOnlyList<Budget> Budgets)
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web) { RespectRequiredConstructorParameters = true };

    public static BudgetFile Loaded { get; } =
        JsonSerializer.Deserialize<BudgetFile>(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "budgets.json")), Options)!;

    public Budget this[string name] => Budgets.Single(budget => budget.Name == name);
}
