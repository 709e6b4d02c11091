using System.CommandLine;
using Hybrid.Lab;
using Hybrid.Lab.Scenarios;
using Hybrid.Toolchain;

// The Rust programs are measured as they are deployed, unless somebody wants another profile.
if (Environment.GetEnvironmentVariable("HYBRID_RUST_PROFILE") is null or "")
    Environment.SetEnvironmentVariable("HYBRID_RUST_PROFILE", "release");

var list = new Option<bool>("--list") { Description = "List the scenarios with their questions, and end." };
var quick = new Option<bool>("--quick") { Description = "Two minutes of measuring: fewer and shorter rounds, so wider intervals." };
var filter = new Option<string[]>("--filter") { Description = "Only scenarios whose name contains this; may be repeated.", HelpName = "TEXT" };
var rounds = new Option<int?>("--rounds") { Description = "Rounds of each scenario [default: 5, quick: 3].", HelpName = "N" };
var output = new Option<string>("--output")
{
    Description = "Folder of report.md, report.html, charts and data.json.",
    HelpName = "DIR",
    DefaultValueFactory = _ => Path.Combine(Workspace.Root, "Lab/report"),
};
var report = new Option<string?>("--report") { Description = "Measure nothing: write the report of this data.json again.", HelpName = "FILE" };
rounds.Validators.Add(result =>
{
    if (result.GetValue(rounds) is < 1 or > 100)
        result.AddError("--rounds is 1 to 100.");
});

var command = new RootCommand(
    "Measures on this machine where Go and where Rust pays: runs the twins under the same load, in turn, and writes a report that puts what the "
    + "article says beside what was seen here. Ctrl-C ends it and leaves nothing running.")
{
    list, quick, filter, rounds, output, report,
};
command.SetAction(async (parsed, cancellationToken) =>
{
    var wanted = parsed.GetValue(filter) ?? [];
    var scenarios = ScenarioList.All.Where(scenario => wanted.Length == 0 || wanted.Any(scenario.Name.Contains)).ToList();
    if (scenarios.Count == 0)
    {
        await Console.Error.WriteLineAsync($"No scenario's name contains {string.Join(" or ", wanted)}. There are {string.Join(", ", ScenarioList.All.Select(s => s.Name))}.");
        return 2;
    }
    if (parsed.GetValue(list))
    {
        foreach (var scenario in scenarios)
            Console.WriteLine($"{scenario.Name,-18} {scenario.Question}");
        return 0;
    }
    var effort = parsed.GetValue(quick) ? Effort.Quick : Effort.Full;
    effort = effort with { Rounds = parsed.GetValue(rounds) ?? effort.Rounds };
    var folder = Path.GetFullPath(parsed.GetValue(output)!);
    try
    {
        return parsed.GetValue(report) is { } data
            ? await LabRun.ReportAsync(data, folder)
            : await LabRun.MeasureAsync(scenarios, effort, folder, cancellationToken);
    }
    catch (Exception e) when (e is SetupException or LabException or IOException or UnauthorizedAccessException)
    {
        await Console.Error.WriteLineAsync(e.Message);
        return 1;
    }
    catch (OperationCanceledException)
    {
        await Console.Error.WriteLineAsync("Ended before it was done; there is no report.");
        return 130;
    }
});
// Ctrl-C waits until all that was started has ended.
return await command.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromMinutes(1) });
