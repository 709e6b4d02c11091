using System.Diagnostics;
using System.Text.Json;
using Confluent.Kafka;
using Grpc.Core;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Report;
using Hybrid.Lab.Running;
using Hybrid.Lab.Scenarios;
using Hybrid.Toolchain;

namespace Hybrid.Lab;

/// <summary>All that was seen in one run.</summary>
/// <param name="Effort">Quick or full.</param>
/// <param name="Skipped">Scenarios that could not be measured, with the reason.</param>
internal sealed record LabData(
    Machine Machine, string Effort, int Rounds, double Minutes, IReadOnlyList<Measurement> Measurements, IReadOnlyDictionary<string, string> Skipped);

/// <summary>Builds, measures and reports.</summary>
internal static class LabRun
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = false };

    /// <returns>The exit code: 1 when a scenario could not be measured.</returns>
    public static async Task<int> MeasureAsync(IReadOnlyList<IScenario> scenarios, Effort effort, string folder, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux())
            throw new LabException("The Lab reads what the Linux kernel counts of a process. Run it on Linux, for instance in a virtual machine.");
        var progress = new Progress();
        await LabTwins.BuildAsync(scenarios.Select(scenario => scenario.Needs), progress, cancellationToken);
        var machine = await Machine.ReadAsync(cancellationToken);
        Console.WriteLine(machine.LoadAverage > 0.5 ? $"Note: this machine is busy (load {machine.LoadAverage:0.0}); intervals will be wide." : "The machine is quiet.");

        var clock = Stopwatch.StartNew();
        var (measurements, skipped) = (new List<Measurement>(), new Dictionary<string, string>());
        await using (var stores = new Stores(progress))
        {
            for (var i = 0; i < scenarios.Count; i++)
            {
                var left = scenarios.Skip(i).Aggregate(TimeSpan.Zero, (sum, scenario) => sum + scenario.Estimate(effort));
                var prefix = $"[{i + 1}/{scenarios.Count}] {scenarios[i].Name}";
                Console.WriteLine($"{prefix}: {scenarios[i].Question} (about {Minutes(left)} left)");
                var bench = new Bench(effort, stores, step => Console.WriteLine($"{prefix}: {step}"), cancellationToken);
                try
                {
                    measurements.AddRange(await scenarios[i].RunAsync(bench));
                }
                catch (Exception e) when (e is LabException or RpcException or HttpRequestException or KafkaException)
                {
                    // The others can still be measured.
                    skipped[scenarios[i].Name] = e.Message;
                    Console.WriteLine($"{prefix}: NOT MEASURED. {e.Message}");
                }
            }
        }
        var data = new LabData(
            machine with { Steal = Machine.StealSince(machine) }, effort.Name, effort.Rounds, Math.Round(clock.Elapsed.TotalMinutes, 1), measurements, skipped);
        Directory.CreateDirectory(folder);
        await File.WriteAllTextAsync(Path.Combine(folder, "data.json"), JsonSerializer.Serialize(data, Format), cancellationToken);
        await WriteAsync(data, folder);
        return skipped.Count == 0 ? 0 : 1;
    }

    /// <summary>Writes the report of data that was measured before.</summary>
    public static async Task<int> ReportAsync(string file, string folder)
    {
        LabData? data;
        try
        {
            data = JsonSerializer.Deserialize<LabData>(await File.ReadAllTextAsync(file), Format);
        }
        catch (JsonException e)
        {
            throw new LabException($"{file} has no data of the Lab: {e.Message}");
        }
        await WriteAsync(data ?? throw new LabException($"{file} has no data of the Lab."), folder);
        return 0;
    }

    private static async Task WriteAsync(LabData data, string folder)
    {
        await Reports.WriteAsync(data, folder);
        Console.WriteLine();
        foreach (var line in Findings.Of(data).Select(finding => $"{finding.Claim.Title}: article {finding.Claim.Article}; here {finding.Here}: {finding.Verdict}."))
            Console.WriteLine(line);
        Console.WriteLine($"Report: {Path.Combine(folder, "report.html")}");
    }

    private static string Minutes(TimeSpan time) => time.TotalMinutes < 1.5 ? $"{time.TotalSeconds:0} s" : $"{time.TotalMinutes:0} min";
}
