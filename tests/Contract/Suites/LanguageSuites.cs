using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Suites;

/// <summary>The suites that sit with the Go and the Rust code. To run one alone: see docs/development.md.</summary>
public sealed class LanguageSuites(LanguageSuites.Runs runs, ITestOutputHelper output) : IClassFixture<LanguageSuites.Runs>
{
    [Fact]
    public async Task Go_suite_passes_under_the_race_detector()
    {
        var run = await runs.Go.Value;
        Report(run);
        // Whatever the machine has is offered to the suite, so a test that misses it did not look for it.
        Assert.All(run.Report.Skipped, test => Assert.False(IsMet(test.Reason, run.Tools), $"{test} It is on this machine."));
    }

    [Fact]
    public async Task Nothing_of_the_Go_suite_was_skipped() => SkipIfAnyWas((await runs.Go.Value).Report.Skipped);

    [Fact]
    public async Task Rust_suite_passes()
    {
        var run = await runs.Rust.Value;
        Report(run);
    }

    [Fact]
    public async Task Nothing_of_the_Rust_suite_was_skipped() => SkipIfAnyWas((await runs.Rust.Value).Report.Skipped);

    /// <summary>Whether what a skipped test says that it needs is on this machine.</summary>
    private static bool IsMet(string reason, ToolSet tools) =>
        (reason.StartsWith("PostgreSQL is needed", StringComparison.Ordinal) && tools.Postgres is not null)
        || (reason.Contains("Kafka", StringComparison.Ordinal) && reason.Contains("needed", StringComparison.Ordinal) && tools.Kafka.Distribution is not null);

    private void Report(SuiteRun run)
    {
        output.WriteLine($"{run.Report}");
        output.WriteLine(string.Join('\n', run.Report.Skipped.Select(test => $"skipped {test}")));
        if (!run.Succeeded)
            output.WriteLine(run.Output);
        Assert.True(run.Report.Failed.Count == 0, $"{run.Report}: {string.Join(", ", run.Report.Failed)}\n{run.Tail}");
        Assert.True(run.Succeeded, $"The suite did not succeed, but names no test that failed.\n{run.Tail}");
        Assert.NotEqual(0, run.Report.Passed);
    }

    private static void SkipIfAnyWas(IReadOnlyList<SkippedTest> skipped)
    {
        if (skipped.Count > 0)
            Assert.Skip($"{skipped.Count} skipped. {string.Join("; ", skipped)}");
    }

    /// <summary>One run of a suite.</summary>
    public sealed record SuiteRun(SuiteReport Report, bool Succeeded, string Output, ToolSet Tools)
    {
        private const int TailLines = 80;

        public string Tail => string.Join('\n', Output.TrimEnd().Split('\n').TakeLast(TailLines));
    }

    /// <summary>Runs each suite once, for all tests that ask about it.</summary>
    public sealed class Runs
    {
        public Runs()
        {
            Go = new(RunGoAsync);
            Rust = new(RunRustAsync);
        }

        public Lazy<Task<SuiteRun>> Go { get; }

        public Lazy<Task<SuiteRun>> Rust { get; }

        private static async Task<SuiteRun> RunGoAsync()
        {
            var tools = await SetUp.ToolsAsync();
            var kafkaHome = Directory.CreateTempSubdirectory("hybrid-test-");
            try
            {
                var environment = new Dictionary<string, string?>(tools.Go.Environment);
                if (tools.Postgres is { } postgres)
                {
                    environment["HYBRID_POSTGRES_BIN"] = postgres.Folder;
                    environment["LD_LIBRARY_PATH"] = postgres.LibraryPath ?? Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
                }
                if (tools.Kafka.Distribution is { } kafka)
                {
                    // The suite expects the layout of an unpacked Kafka, and Java on the PATH.
                    File.CreateSymbolicLink(Path.Combine(kafkaHome.FullName, "libs"), kafka.Libraries);
                    environment["HYBRID_KAFKA_HOME"] = kafkaHome.FullName;
                    environment["PATH"] = Path.GetDirectoryName(kafka.Java) + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH");
                }
                return await RunAsync(
                    tools, [tools.Go.Program, "test", "-race", "-json", "./..."], Workspace.GoModule, environment, GoTestOutput.Parse, GoTestOutput.TextOf);
            }
            finally
            {
                kafkaHome.Delete(recursive: true);
            }
        }

        private static async Task<SuiteRun> RunRustAsync()
        {
            var tools = await SetUp.ToolsAsync();
            return await RunAsync(
                tools, [tools.Rust.Program, "test", "--workspace", "--profile", Programs.RustProfile, "--no-fail-fast"], tools.Rust.WorkspaceFolder,
                tools.Rust.Environment, CargoTestOutput.Parse, line => line);
        }

        /// <summary>Runs a command with both streams in one, so that their lines keep their order.</summary>
        private static async Task<SuiteRun> RunAsync(
            ToolSet tools, string[] command, string folder, IReadOnlyDictionary<string, string?> environment,
            Func<IEnumerable<string>, SuiteReport> parse, Func<string, string?> textOf)
        {
            var result = await Subprocess.RunAsync(
                "sh", ["-c", "exec \"$@\" 2>&1", "sh", .. command], folder, environment, cancellationToken: TestContext.Current.CancellationToken);
            var lines = result.Output.Split('\n');
            return new SuiteRun(parse(lines), result.Succeeded, string.Join('\n', lines.Select(textOf).OfType<string>()), tools);
        }
    }
}
