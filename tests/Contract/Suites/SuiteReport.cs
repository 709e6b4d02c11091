using System.Text.RegularExpressions;

namespace Hybrid.Tests.Contract.Suites;

/// <summary>The outcome of a suite in Go or Rust, read from what <c>go test -v</c> and <c>cargo test</c> print for people.</summary>
/// <param name="Failed">Names of the tests that failed, and whatever else did, such as a package that does not compile.</param>
/// <param name="Skipped">The tests that did not run, each with the reason that it gave.</param>
public sealed partial record SuiteReport(int Passed, IReadOnlyList<string> Failed, IReadOnlyList<(string Name, string Reason)> Skipped)
{
    public static SuiteReport Parse(IEnumerable<string> lines)
    {
        var passed = 0;
        List<string> failed = [];
        List<(string, string)> skipped = [];
        Dictionary<string, string> said = [];
        string binary = "", running = "";
        foreach (var match in lines.Select(line => Line().Match(line)).Where(match => match.Success))
        {
            string? Text(string group) => match.Groups[group] is { Success: true } found ? found.Value : null;
            binary = Text("binary") is { } name ? name + " " : binary;
            running = Text("running") ?? running;
            if (Text("said") is { } words)
                said[running] = words;
            if (Text("broken") is { } broken)
                failed.Add(broken);
            if (Text("test") is not { } test)
                continue;
            switch (Text("outcome"))
            {
                case "PASS" or "ok":
                    passed++;
                    break;
                case "FAIL" or "FAILED":
                    failed.Add(binary + test);
                    break;
                default:
                    skipped.Add((binary + test, Text("reason") ?? said.GetValueOrDefault(test) ?? "no reason given"));
                    break;
            }
        }
        return new SuiteReport(passed, failed, skipped);
    }

    public override string ToString() => $"{Passed} passed, {Failed.Count} failed, {Skipped.Count} skipped";

    [GeneratedRegex(
        """
          ^\s*---\ (?<outcome>PASS|FAIL|SKIP):\ (?<test>\S+)                                            # Go
        | ^===\ (RUN|CONT|NAME)\s+(?<running>\S+)
        | ^\s+\S+\.go:\d+:\ (?<said>.+)                                                                 # the last before a SKIP is its reason
        | ^FAIL\s+(?<broken>\S+(\ \[.+\])?)                                                             # a package: a test failed, or it crashed or did not compile
        | ^test\ (?<test>.+?)\ \.\.\.\ (?<outcome>ok|FAILED|ignored)(,\ (?<reason>.+))?$                # Rust
        | ^\s+(Running\ (unittests\ )?\S+\ \(\S*/(?<binary>\S+)-[0-9a-f]+\)|Doc-tests\ (?<binary>\S+))$
        | ^error:\ (?<broken>could\ not\ compile\ .+)$
        | ^\s+(?<broken>process\ didn't\ exit\ successfully:\ .+signal.+)$                              # it crashed
        """, RegexOptions.IgnorePatternWhitespace | RegexOptions.ExplicitCapture)]
    private static partial Regex Line();
}
