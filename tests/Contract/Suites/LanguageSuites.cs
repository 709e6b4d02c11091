using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Suites;

/// <summary>
/// The suites that sit with the Go and the Rust code. One that passes, but for tests that miss something on this machine, is reported
/// as skipped, with their reasons. To run one alone: see docs/development.md.
/// </summary>
public sealed class LanguageSuites(ITestOutputHelper output)
{
    /// <summary>All but the one whose tests need a running data plane: StockClientTests runs them.</summary>
    public static TheoryData<string> GoModules => [.. Workspace.GoModules.Except([Workspace.GrpcGo]).Select(module => Path.GetRelativePath(Workspace.Root, module))];

    [Theory]
    [MemberData(nameof(GoModules))]
    public async Task Go_suite_passes_under_the_race_detector(string module)
    {
        var tools = await SetUp.ToolsAsync();
        await PassesAsync(tools, [tools.Go.Program, "test", "-race", "-v", "./..."], Path.Combine(Workspace.Root, module), tools.Go.Environment);
    }

    [Fact]
    public async Task Rust_suite_passes()
    {
        var tools = await SetUp.ToolsAsync();
        // Tests that need a broker are ignored unless they are asked for.
        string[] options = tools.Kafka.Distribution is null ? [] : ["--", "--include-ignored"];
        string[] command = [tools.Rust.Program, "test", "--workspace", "--profile", Programs.RustProfile, "--no-fail-fast", .. options];
        await PassesAsync(tools, command, tools.Rust.WorkspaceFolder, tools.Rust.Environment);
    }

    private async Task PassesAsync(ToolSet tools, string[] command, string folder, IReadOnlyDictionary<string, string?> environment)
    {
        using var kafkaHome = new StateDirectory();
        var offered = new Dictionary<string, string?>(environment);
        if (tools.Postgres is { } postgres)
        {
            offered["HYBRID_POSTGRES_BIN"] = postgres.Folder;
            offered["LD_LIBRARY_PATH"] = postgres.LibraryPath ?? Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
        }
        if (tools.Kafka.Distribution is { } kafka)
        {
            // The suites expect the layout of an unpacked Kafka, and Java on the PATH.
            File.CreateSymbolicLink(Path.Combine(kafkaHome.Path, "libs"), kafka.Libraries);
            offered["HYBRID_KAFKA_HOME"] = kafkaHome.Path;
            var path = offered.GetValueOrDefault("PATH") ?? Environment.GetEnvironmentVariable("PATH");
            offered["PATH"] = Path.GetDirectoryName(kafka.Java) + Path.PathSeparator + path;
        }
        // Both streams in one, so that their lines keep their order.
        var result = await Subprocess.RunAsync(
            "sh", ["-c", "exec \"$@\" 2>&1", "sh", .. command], folder, offered, cancellationToken: TestContext.Current.CancellationToken);
        var lines = result.Output.TrimEnd().Split('\n');
        var report = SuiteReport.Parse(lines);
        output.WriteLine(result.Succeeded ? $"{report}" : result.Output);
        var tail = string.Join('\n', lines.TakeLast(80));
        Assert.True(report.Failed.Count == 0, $"{report}: {string.Join(", ", report.Failed)}\n{tail}");
        Assert.True(result.Succeeded, $"The suite did not succeed, but names no test that failed.\n{tail}");
        Assert.NotEqual(0, report.Passed);
        // Whatever the machine has is offered to the suite, so a test that misses it did not look for it.
        Assert.All(report.Skipped, test => Assert.False(IsMet(test.Reason, tools), $"{test.Name}: {test.Reason} It is on this machine."));
        Assert.SkipWhen(report.Skipped.Count > 0, $"{report}. {string.Join("; ", report.Skipped.Select(test => $"{test.Name}: {test.Reason}"))}");
    }

    /// <summary>Whether what a skipped test says that it needs is on this machine.</summary>
    private static bool IsMet(string reason, ToolSet tools) =>
        (reason.StartsWith("PostgreSQL is needed", StringComparison.Ordinal) && tools.Postgres is not null)
        || (reason.Contains("Kafka", StringComparison.Ordinal) && reason.Contains("needed", StringComparison.Ordinal) && tools.Kafka.Distribution is not null);
}
