using System.Globalization;
using System.Text.RegularExpressions;

namespace Hybrid.Tests.Contract.Suites;

/// <summary>Reads what <c>cargo test</c> prints, both streams in one order. Its form for programs is not in stable Rust.</summary>
internal static partial class CargoTestOutput
{
    public static SuiteReport Parse(IEnumerable<string> lines)
    {
        var passed = 0;
        List<string> failed = [];
        List<SkippedTest> skipped = [];
        var binary = "";
        foreach (var line in lines)
        {
            if (Binary().Match(line) is { Success: true } running)
                binary = running.Groups["name"].Value;
            else if (Summary().Match(line) is { Success: true } summary)
                passed += int.Parse(summary.Groups["passed"].Value, CultureInfo.InvariantCulture);
            else if (NotRun().Match(line) is { Success: true } notRun)
                failed.Add(notRun.Groups["text"].Value);
            else if (NotPassed().Match(line) is { Success: true } test)
            {
                var name = $"{binary} {test.Groups["name"].Value}".TrimStart();
                if (test.Groups["outcome"].Value == "FAILED")
                    failed.Add(name);
                else
                    skipped.Add(new SkippedTest(name, test.Groups["reason"] is { Success: true } reason ? reason.Value : "no reason given"));
            }
        }
        return new SuiteReport(passed, failed, skipped);
    }

    [GeneratedRegex(@"^\s+(?:Running (?:unittests )?\S+ \(\S*/(?<name>\S+)-[0-9a-f]+\)|Doc-tests (?<name>\S+))$")]
    private static partial Regex Binary();

    [GeneratedRegex(@"^test result: .+? (?<passed>\d+) passed;")]
    private static partial Regex Summary();

    [GeneratedRegex(@"^test (?<name>.+?) \.\.\. (?<outcome>FAILED|ignored)(?:, (?<reason>.+))?$")]
    private static partial Regex NotPassed();

    // A crate that does not compile, or a test process that crashed.
    [GeneratedRegex("^error: (?<text>could not compile .+)$|^\\s+(?<text>process didn't exit successfully: .+signal.+)$")]
    private static partial Regex NotRun();
}
