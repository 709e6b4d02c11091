namespace Hybrid.Tests.Contract.Suites;

public sealed class CargoTestOutputTests
{
    private static readonly string[] Lines =
    [
        "   Compiling pricing v0.1.0",
        "     Running unittests src/lib.rs (/target/fast/deps/pricing-0123456789abcdef)",
        "",
        "running 3 tests",
        "test vectors::rounding ... ok",
        "test vectors::needs_a_broker ... ignored, needs Kafka",
        "test vectors::overflow ... FAILED",
        "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        "     Running tests/export.rs (/target/fast/deps/export-0123456789abcdef)",
        "test panics - should panic ... ok",
        "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        "   Doc-tests telemetry",
        "test crates/telemetry/src/lib.rs - Sink (line 3) ... ignored",
        "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
    ];

    [Fact]
    public void Counts_tests_and_names_what_failed_and_what_was_skipped()
    {
        var report = CargoTestOutput.Parse(Lines);

        Assert.Equal(2, report.Passed);
        Assert.Equal(["pricing vectors::overflow"], report.Failed);
        Assert.Equal(
            [new("pricing vectors::needs_a_broker", "needs Kafka"), new("telemetry crates/telemetry/src/lib.rs - Sink (line 3)", "no reason given")],
            report.Skipped);
    }

    [Theory]
    [InlineData("error: could not compile `pricing` (lib test) due to 1 previous error")]
    [InlineData("  process didn't exit successfully: `/target/fast/deps/export-0123456789abcdef` (signal: 11, SIGSEGV: invalid memory reference)")]
    public void What_did_not_run_to_its_end_has_failed(string line) => Assert.Single(CargoTestOutput.Parse([line]).Failed);
}
