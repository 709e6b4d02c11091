using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Scenarios;
using Markdig;

namespace Hybrid.Lab.Report;

/// <summary>Writes <c>report.md</c>, its charts, and <c>report.html</c> which has everything in one file.</summary>
internal static partial class Reports
{
    /// <summary>What is drawn of each scenario.</summary>
    private static readonly Dictionary<string, string> Drawn = new()
    {
        ["plaintext"] = Metric.CpuMicros,
        ["json"] = Metric.CpuMicros,
        ["postgres"] = Metric.Throughput,
        ["sustained"] = Metric.P99,
        ["quote-cpu"] = Metric.CpuMicros,
        ["metering"] = Metric.EventMicros,
        ["convergence"] = Metric.P99,
        ["build"] = Metric.BinarySize,
    };

    private static readonly string[] Order =
    [
        Metric.CpuMicros, Metric.H2loadCpuMicros, Metric.EventMicros, Metric.ChangeMicros, Metric.ChangeBytes, Metric.WholeCpu, Metric.CallNanos, Metric.Allocated, Metric.Throughput, Metric.P50, Metric.P99, Metric.P999, Metric.IdleMemory,
        Metric.LoadMemory, Metric.Switches, Metric.Start, Metric.CleanBuild, Metric.ReleaseBuild, Metric.IncrementalBuild, Metric.CrossBuild, Metric.BinarySize,
        Metric.Failed, Metric.GeneratorCores, Metric.KeptUp,
    ];

    public static async Task WriteAsync(LabData data, string folder)
    {
        Directory.CreateDirectory(folder);
        var charts = new Dictionary<string, string>();
        var markdown = Markdown(data, charts);
        foreach (var (name, svg) in charts)
            await File.WriteAllTextAsync(Path.Combine(folder, name), svg);
        await File.WriteAllTextAsync(Path.Combine(folder, "report.md"), markdown);
        await File.WriteAllTextAsync(Path.Combine(folder, "report.html"), Html(markdown, charts));
    }

    private static string Markdown(LabData data, Dictionary<string, string> charts)
    {
        var (text, findings) = (new StringBuilder(), new Findings(data));
        var machine = data.Machine;
        text.AppendLine(CultureInfo.InvariantCulture, $"""
            # Where Go and where Rust pays, measured

            {machine.Date}, commit {machine.Commit}, {data.Effort} run of {data.Minutes:0.#} minutes, {data.Rounds} rounds.
            {machine.Processor}, {machine.Cores} cores, {machine.MemoryGigabytes:0} GB, {machine.Kernel}. Go {machine.Go}, Rust {machine.Rust}, .NET {machine.DotNet}.
            Cores: {machine.Pinning}. Noise: load average {machine.LoadAverage:0.0} before the run; other virtual machines took {machine.Steal:0.0%} of the time.

            ## The article's claims

            | claim | article says | here | verdict | what else was seen |
            |---|---|---|---|---|
            """);
        foreach (var finding in Findings.Of(data))
            text.AppendLine(CultureInfo.InvariantCulture, $"| {finding.Claim.Title} | {finding.Claim.Article} | {finding.Here} | {finding.Verdict} | {OneLine(finding.Sentence)} |");
        text.AppendLine("\n## The product's own limits\n\n| limit | wanted | here | verdict |\n|---|---|---|---|");
        foreach (var (target, here, verdict) in findings.Targets())
            text.AppendLine(CultureInfo.InvariantCulture, $"| {target.Title} | {(target.AtMost ? "≤" : "≥")} {target.Limit:0.##}{target.Unit} | {here} | {verdict} |");
        text.AppendLine("\nWhere a limit is missed, docs/performance.md shows where the time and the memory go.");
        foreach (var scenario in data.Measurements.Select(m => m.Scenario).Distinct())
            Scenario(text, data, findings, scenario, charts);
        foreach (var (scenario, why) in data.Skipped)
            text.AppendLine(CultureInfo.InvariantCulture, $"\n## {scenario}\n\nNot measured: {OneLine(why)}");
        text.AppendLine(Method);
        return text.ToString();
    }

    private static void Scenario(StringBuilder text, LabData data, Findings findings, string scenario, Dictionary<string, string> charts)
    {
        var question = ScenarioList.All.FirstOrDefault(s => s.Name == scenario)?.Question;
        var variants = data.Measurements.Where(m => m.Scenario == scenario).Select(m => m.Variant).Distinct().ToList();
        var metrics = Order.Where(metric => data.Measurements.Any(m => m.Scenario == scenario && m.Values.ContainsKey(metric))).ToList();
        text.AppendLine(CultureInfo.InvariantCulture, $"\n## {scenario}\n\n{question}\n\n| | {string.Join(" | ", variants)} |\n|---|{string.Concat(variants.Select(_ => "---|"))}");
        foreach (var metric in metrics)
            text.AppendLine(CultureInfo.InvariantCulture, $"| {metric} | {string.Join(" | ", variants.Select(variant => findings.EstimateOf(scenario, metric, variant, null) is { } value ? Findings.Text(value, "") : ""))} |");
        foreach (var note in data.Measurements.Where(m => m.Scenario == scenario && m.Note is not null).Select(m => m.Note!).Distinct())
            text.AppendLine(CultureInfo.InvariantCulture, $"\n{note}");
        if (Drawn.TryGetValue(scenario, out var drawn) && metrics.Contains(drawn))
        {
            var bars = variants.Select(variant => (variant, findings.EstimateOf(scenario, drawn, variant, null))).Where(bar => bar.Item2 is not null).Select(bar => (bar.variant, bar.Item2!.Value)).ToList();
            Draw($"{scenario}.svg", Charts.Bars(drawn, bars));
        }
        var histograms = data.Measurements.Where(m => m.Scenario == scenario && m.Histogram is { Count: > 0 })
            .GroupBy(m => m.Variant).Select(group => (group.Key, Merged(group.SelectMany(m => m.Histogram!)))).ToList();
        if (histograms.Count > 0)
            Draw($"{scenario}-latency.svg", Charts.Latencies(histograms));

        void Draw(string name, string svg)
        {
            charts[name] = svg;
            text.AppendLine(CultureInfo.InvariantCulture, $"\n![{scenario}: {name}]({name})");
        }
    }

    private static IReadOnlyList<long[]> Merged(IEnumerable<long[]> buckets) =>
        [.. buckets.GroupBy(bucket => bucket[0]).OrderBy(group => group.Key).Select(group => new[] { group.Key, group.Sum(bucket => bucket[1]) })];

    private static string Html(string markdown, Dictionary<string, string> charts)
    {
        var body = Markdig.Markdown.ToHtml(markdown, new MarkdownPipelineBuilder().UsePipeTables().Build());
        body = Image().Replace(body, match => charts[match.Groups[1].Value][charts[match.Groups[1].Value].IndexOf("<svg", StringComparison.Ordinal)..]);
        return $$"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Where Go and where Rust pays, measured</title>
            <style>
            body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222; }
            table { border-collapse: collapse; margin: 1rem 0; } th, td { border-bottom: 1px solid #ddd; padding: .35rem .7rem; text-align: left; vertical-align: top; }
            svg { max-width: 100%; height: auto; }
            </style>
            </head>
            <body>
            {{body}}
            </body>
            </html>
            """;
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ").Replace("|", "/", StringComparison.Ordinal);

    private const string Method = """

        ## How it was measured

        Each figure is the median over the rounds, with the 95 % interval of a bootstrap of that median; ratios are of values from the same round.
        The twins of a round run one after the other, in every second round in reverse order. CPU is what the kernel counts of the whole process,
        its warm-up included. Latency in an open loop counts from the time at which a call was due, so a stall shows in every call that was due
        during it; `generator kept up` says in how many of the rounds (1 is all) at most one call in a hundred was sent more than a millisecond late.
        A closed loop shows what a server can do, not how long its callers would wait elsewhere. Everything runs on one machine, stores included.
        The raw figures are in data.json; `dotnet run --project Lab -- --report data.json` makes this report of them again.
        """;

    [GeneratedRegex("""<img src="([^"]+)"[^>]*>""")]
    private static partial Regex Image();
}
