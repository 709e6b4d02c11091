namespace Hybrid.Tests.Contract.Suites;

public sealed class GoTestOutputTests
{
    private static readonly string[] Lines =
    [
        """go: warning: this line is no event""",
        """{"Action":"start","Package":"hybrid/a"}""",
        """{"Action":"run","Package":"hybrid/a","Test":"TestGood"}""",
        """{"Action":"output","Package":"hybrid/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}""",
        """{"Action":"pass","Package":"hybrid/a","Test":"TestGood","Elapsed":0.1}""",
        """{"Action":"output","Package":"hybrid/a","Test":"TestNeedy","Output":"=== RUN   TestNeedy\n"}""",
        """{"Action":"output","Package":"hybrid/a","Test":"TestNeedy","Output":"    server.go:109: PostgreSQL is needed and not found: set it\n"}""",
        """{"Action":"output","Package":"hybrid/a","Test":"TestNeedy","Output":"--- SKIP: TestNeedy (0.00s)\n"}""",
        """{"Action":"skip","Package":"hybrid/a","Test":"TestNeedy","Elapsed":0}""",
        """{"Action":"skip","Package":"hybrid/empty","Elapsed":0}""",
        """{"Action":"pass","Package":"hybrid/a","Elapsed":0.2}""",
        """{"Action":"fail","Package":"hybrid/b","Test":"TestBad/case","Elapsed":0.1}""",
        """{"Action":"fail","Package":"hybrid/b","Elapsed":0.2}""",
        """{"ImportPath":"hybrid/c","Action":"build-fail"}""",
    ];

    [Fact]
    public void Counts_tests_and_names_what_failed_and_what_was_skipped()
    {
        var report = GoTestOutput.Parse(Lines);

        Assert.Equal(1, report.Passed);
        Assert.Equal(["hybrid/b.TestBad/case", "hybrid/b", "hybrid/c"], report.Failed);
        // A package without tests is no skipped test.
        Assert.Equal([new("hybrid/a.TestNeedy", "PostgreSQL is needed and not found: set it")], report.Skipped);
    }

    [Fact]
    public void The_text_is_what_the_tests_and_the_compiler_printed()
    {
        Assert.Equal(Lines[0], GoTestOutput.TextOf(Lines[0]));
        Assert.Equal("=== RUN   TestGood", GoTestOutput.TextOf(Lines[3]));
        Assert.Null(GoTestOutput.TextOf(Lines[4]));
    }
}
