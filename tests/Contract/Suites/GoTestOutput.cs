using System.Text.Json;
using System.Text.RegularExpressions;

namespace Hybrid.Tests.Contract.Suites;

/// <summary>Reads what <c>go test -json</c> prints; see <c>go doc test2json</c>.</summary>
internal static partial class GoTestOutput
{
    /// <summary>Lines that are no events, such as those of the compiler, are passed over.</summary>
    public static SuiteReport Parse(IEnumerable<string> lines)
    {
        var passed = 0;
        List<string> failed = [];
        List<SkippedTest> skipped = [];
        Dictionary<(string, string), string> printed = [];
        foreach (var line in lines)
        {
            if (EventOf(line) is not { } e)
                continue;
            var name = e.Test is null ? e.Package : $"{e.Package}.{e.Test}";
            switch (e.Action)
            {
                case "output" when e.Test is not null:
                    printed[(e.Package, e.Test)] = printed.GetValueOrDefault((e.Package, e.Test)) + e.Output;
                    break;
                case "pass" when e.Test is not null:
                    passed++;
                    break;
                case "skip" when e.Test is not null:
                    skipped.Add(new SkippedTest(name, ReasonIn(printed.GetValueOrDefault((e.Package, e.Test)) ?? "")));
                    break;
                // Without a test it is the package: one of its tests failed, or it did not compile, or its process crashed.
                case "fail" or "build-fail":
                    failed.Add(name);
                    break;
            }
        }
        return new SuiteReport(passed, failed, skipped);
    }

    /// <summary>The text of the event's output, for people to read; null for other events.</summary>
    public static string? TextOf(string line) => EventOf(line) is { } e ? e.Output?.TrimEnd('\n') : line;

    private static Event? EventOf(string line)
    {
        if (!line.StartsWith("{\"", StringComparison.Ordinal))
            return null;
        using var document = JsonDocument.Parse(line);
        string? Text(string property) => document.RootElement.TryGetProperty(property, out var value) ? value.GetString() : null;
        return new Event(Text("Action") ?? "", Text("Package") ?? Text("ImportPath") ?? "", Text("Test"), Text("Output"));
    }

    /// <summary>The message of <c>t.Skip</c>, which go prints as <c>file.go:12: message</c>.</summary>
    private static string ReasonIn(string printed) => SkipMessage().Match(printed) is { Success: true } match ? match.Groups[1].Value.Trim() : "no reason given";

    private sealed record Event(string Action, string Package, string? Test, string? Output);

    [GeneratedRegex(@"^\s+\S+\.go:\d+: (.+)", RegexOptions.Multiline)]
    private static partial Regex SkipMessage();
}
