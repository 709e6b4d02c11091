namespace Hybrid.Tests.Contract.Suites;

public sealed class SuiteReportTests
{
    private const string Go =
        """
        === RUN   TestNeedy
            server.go:109: PostgreSQL is needed and not found: set it
        === CONT  TestGood
            good_test.go:12: not the reason of the other
        --- SKIP: TestNeedy (0.00s)
        --- PASS: TestGood (0.10s)
        --- FAIL: TestBad (0.10s)
            --- FAIL: TestBad/case (0.10s)
        FAIL
        FAIL	hybrid/b	0.2s
        FAIL	hybrid/c [build failed]
        """;

    private const string Rust =
        """
             Running unittests src/lib.rs (/target/fast/deps/pricing-0123456789abcdef)
        test vectors::rounding ... ok
        test vectors::needs_a_broker ... ignored, needs Kafka
        test vectors::overflow ... FAILED
        test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
        test panics - should panic ... ok
          process didn't exit successfully: `/target/fast/deps/export-0123456789abcdef` (signal: 11, SIGSEGV: invalid memory reference)
           Doc-tests telemetry
        test crates/telemetry/src/lib.rs - Sink (line 3) ... ignored
        error: could not compile `metering` (lib test) due to 1 previous error
        """;

    [Theory]
    [InlineData(Go, 1, "TestBad|TestBad/case|hybrid/b|hybrid/c [build failed]", "TestNeedy: PostgreSQL is needed and not found: set it")]
    [InlineData(
        Rust, 2,
        "pricing vectors::overflow|process didn't exit successfully: `/target/fast/deps/export-0123456789abcdef` (signal: 11, SIGSEGV: invalid memory reference)"
        + "|could not compile `metering` (lib test) due to 1 previous error",
        "pricing vectors::needs_a_broker: needs Kafka|telemetry crates/telemetry/src/lib.rs - Sink (line 3): no reason given")]
    public void It_counts_tests_and_names_what_failed_and_what_was_skipped(string output, int passed, string failed, string skipped)
    {
        var report = SuiteReport.Parse(output.Split('\n'));

        Assert.Equal(passed, report.Passed);
        Assert.Equal(failed.Split('|'), report.Failed);
        Assert.Equal(skipped.Split('|'), report.Skipped.Select(test => $"{test.Name}: {test.Reason}"));
    }
}
