using System.Diagnostics;
using System.Text.Json;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Scenarios;

/// <summary>What building costs: the twins of the article's service, with all libraries below them.</summary>
internal sealed class BuildScenario : IScenario
{
    public string Name => "build";
    public string Question => "How long does a build take, how large is the program, and what does another processor need?";
    public LabPrograms Needs => LabPrograms.Items;

    public TimeSpan Estimate(Effort effort) => effort.Builds ? TimeSpan.FromMinutes(6) : TimeSpan.FromSeconds(1);

    public async Task<IReadOnlyList<Measurement>> RunAsync(Bench bench)
    {
        var folder = Directory.CreateTempSubdirectory("hybrid-lab-build-").FullName;
        try
        {
            return [await GoAsync(bench, folder), await RustAsync(bench, folder)];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<Measurement> GoAsync(Bench bench, string folder)
    {
        var go = await Setup.GoAsync(Progress.Silent, bench.CancellationToken);
        var values = new Dictionary<string, double>();
        if (bench.Effort.Builds)
        {
            var environment = new Dictionary<string, string?>(go.Environment) { ["GOCACHE"] = Path.Combine(folder, "go-cache") };
            string[] build = ["build", "-o", Path.Combine(folder, "items"), "./cmd/items"];
            bench.Say("Go, from nothing");
            values[Metric.CleanBuild] = await TimeAsync(go.Program, build, LabTwins.GoModule, environment, bench);
            values[Metric.ReleaseBuild] = values[Metric.CleanBuild];
            bench.Say("Go, after a change");
            // An overlay changes a file for the compiler alone.
            var (source, changed, overlay) = (Path.Combine(LabTwins.GoModule, "cmd/items/main.go"), Path.Combine(folder, "main.go"), Path.Combine(folder, "overlay.json"));
            await File.WriteAllTextAsync(changed, await File.ReadAllTextAsync(source, bench.CancellationToken) + "\nvar Changed = 1\n", bench.CancellationToken);
            await File.WriteAllTextAsync(overlay, JsonSerializer.Serialize(new { Replace = new Dictionary<string, string> { [source] = changed } }), bench.CancellationToken);
            values[Metric.IncrementalBuild] = await TimeAsync(go.Program, ["build", "-overlay", overlay, .. build[1..]], LabTwins.GoModule, environment, bench);
            bench.Say("Go, for arm64");
            environment["GOARCH"] = "arm64";
            values[Metric.CrossBuild] = await TimeAsync(go.Program, build, LabTwins.GoModule, environment, bench);
        }
        values[Metric.BinarySize] = await StrippedMegabytesAsync(Programs.Go("items"), folder);
        return new Measurement(Name, "Go", 1, values);
    }

    private async Task<Measurement> RustAsync(Bench bench, string folder)
    {
        var rust = await Setup.RustAsync(Progress.Silent, bench.CancellationToken);
        var (values, note) = (new Dictionary<string, double>(), "");
        if (bench.Effort.Builds)
        {
            var environment = new Dictionary<string, string?>(rust.Environment) { ["CARGO_TARGET_DIR"] = Path.Combine(folder, "target") };
            string[] build = ["build", "-p", LabTwins.RustItemsPackage];
            bench.Say("Rust, from nothing, without optimisation");
            values[Metric.CleanBuild] = await TimeAsync(rust.Program, build, rust.WorkspaceFolder, environment, bench);
            bench.Say("Rust, after a change");
            // cargo looks at the time of a file.
            File.SetLastWriteTimeUtc(Path.Combine(LabTwins.RustItemsFolder, "src/main.rs"), DateTime.UtcNow);
            values[Metric.IncrementalBuild] = await TimeAsync(rust.Program, build, rust.WorkspaceFolder, environment, bench);
            bench.Say("Rust, from nothing, as deployed");
            values[Metric.ReleaseBuild] = await TimeAsync(rust.Program, [.. build, "--release"], rust.WorkspaceFolder, environment, bench);
            bench.Say("Rust, for arm64");
            try
            {
                values[Metric.CrossBuild] = await TimeAsync(rust.Program, [.. build, "--target", "aarch64-unknown-linux-gnu"], rust.WorkspaceFolder, environment, bench);
            }
            catch (LabException)
            {
                note = "Rust was not built for arm64: its standard library or a linker for that processor is not on this machine.";
            }
        }
        values[Metric.BinarySize] = await StrippedMegabytesAsync(Programs.Rust("items"), folder);
        return new Measurement(Name, "Rust", 1, values) { Note = note.Length > 0 ? note : null };
    }

    private static async Task<double> TimeAsync(string program, string[] arguments, string folder, Dictionary<string, string?> environment, Bench bench)
    {
        var clock = Stopwatch.StartNew();
        var run = await Subprocess.RunAsync(program, arguments, folder, environment, cancellationToken: bench.CancellationToken);
        return run.Succeeded ? clock.Elapsed.TotalSeconds : throw new LabException($"{Path.GetFileName(program)} {string.Join(' ', arguments)} failed:\n{run.Tail()}");
    }

    private static async Task<double> StrippedMegabytesAsync(string program, string folder)
    {
        var stripped = Path.Combine(folder, "stripped");
        var run = await Subprocess.RunAsync("strip", ["-o", stripped, program]);
        return run.Succeeded ? new FileInfo(stripped).Length / 1e6 : throw new LabException($"strip failed; it comes with binutils:\n{run.Tail()}");
    }
}
