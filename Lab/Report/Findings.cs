using System.Globalization;
using Hybrid.Lab.Measuring;

namespace Hybrid.Lab.Report;

/// <summary>A claim beside what was seen.</summary>
/// <param name="Here">The ratio with its interval, or that it was not measured.</param>
internal sealed record Finding(Claim Claim, string Here, string Verdict, string Sentence);

/// <summary>A limit beside what was seen.</summary>
internal sealed record TargetFinding(Target Target, string Here, string Verdict);

/// <summary>Reads figures out of what was measured.</summary>
internal sealed class Findings(LabData data)
{
    /// <summary>It may use one core on a machine with two.</summary>
    private const double BusyGenerator = 0.8;

    private const string NotMeasured = "not measured";

    public static IReadOnlyList<Finding> Of(LabData data)
    {
        var findings = new Findings(data);
        return [.. Claims.All.Select(findings.Judge)];
    }

    public IReadOnlyList<TargetFinding> Targets() => [.. Claims.Targets.Select(Judge)];

    /// <summary>The ratio of two variants as text.</summary>
    public string Ratio(string scenario, string metric, string above, string below) => Text(EstimateOf(scenario, metric, above, below), "×");

    /// <summary>The value of one variant as text.</summary>
    public string Value(string scenario, string variant, string metric) => Text(EstimateOf(scenario, metric, variant, null), "");

    public Estimate? EstimateOf(string scenario, string metric, string above, string? below)
    {
        var (over, under) = (Samples(scenario, metric, above), below is null ? null : Samples(scenario, metric, below));
        if (over.Count == 0 || under is { Count: 0 })
            return null;
        return under is null ? Estimate.Of([.. over.Values]) : Estimate.OfRatio(over, under);
    }

    /// <summary>A median with its interval, to as many digits as it deserves.</summary>
    public static string Text(Estimate? estimate, string unit)
    {
        if (estimate is not { } it)
            return NotMeasured;
        string Digits(double value) => value.ToString(Math.Abs(value) switch { < 0.1 => "0.000", < 10 => "0.00", < 100 => "0.0", _ => "#,0" }, CultureInfo.InvariantCulture);
        var (median, low, high) = (Digits(it.Median), Digits(it.Low), Digits(it.High));
        return low == high ? $"{median}{unit}" : $"{median}{unit} ({low}–{high})";
    }

    private Dictionary<int, double> Samples(string scenario, string metric, string variant) =>
        data.Measurements.Where(m => m.Scenario == scenario && m.Variant == variant && m.Values.ContainsKey(metric)).ToDictionary(m => m.Round, m => m.Values[metric]);

    private Finding Judge(Claim claim)
    {
        if (EstimateOf(claim.Scenario, claim.Metric, claim.Above, claim.Below) is not { } ratio)
            return new Finding(claim, NotMeasured, NotMeasured, data.Skipped.GetValueOrDefault(claim.Scenario, "The scenario was not part of this run."));
        var verdict = ratio switch
        {
            _ when ratio.High >= claim.From && ratio.Low <= claim.To => "holds",
            _ when ratio.Low > claim.To => "holds, and by more than it says",
            _ when ratio.Low > 1 => "holds partly",
            _ => "does not hold here",
        };
        return new Finding(claim, Text(ratio, "×"), verdict + Doubt(claim.Scenario, claim.Metric), claim.Why(this));
    }

    /// <summary>What takes a verdict its weight: a latency under a load that was not sent as it should have been.</summary>
    private string Doubt(string scenario, string metric)
    {
        if (!metric.StartsWith('P'))
            return "";
        var rounds = data.Measurements.Where(m => m.Scenario == scenario).ToList();
        if (rounds.Any(m => m.Values.GetValueOrDefault(Metric.KeptUp, 1) == 0))
            return "; in some rounds the generator did not keep up, so this machine is too small to be sure";
        return rounds.Any(m => m.Values.GetValueOrDefault(Metric.GeneratorCores) > BusyGenerator)
            ? "; the generator had as much to do as the servers, so some of the wait is its own and this machine is too small to be sure"
            : "";
    }

    private TargetFinding Judge(Target target)
    {
        if (EstimateOf(target.Scenario, target.Metric, target.Above, target.Below) is not { } value)
            return new TargetFinding(target, NotMeasured, NotMeasured);
        var (surely, maybe) = target.AtMost
            ? (value.High <= target.Limit, value.Median <= target.Limit)
            : (value.Low >= target.Limit, value.Median >= target.Limit);
        return new TargetFinding(target, Text(value, target.Unit), (surely ? "met" : maybe ? "met at the median" : "missed") + Doubt(target.Scenario, target.Metric));
    }
}
