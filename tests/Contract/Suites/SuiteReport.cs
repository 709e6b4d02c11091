namespace Hybrid.Tests.Contract.Suites;

/// <summary>A test that did not run, and the reason that it gave.</summary>
public sealed record SkippedTest(string Name, string Reason)
{
    public override string ToString() => $"{Name}: {Reason}";
}

/// <summary>The outcome of a suite in another language.</summary>
/// <param name="Failed">Names of the tests that failed, and of whatever else did, such as a package that does not compile.</param>
public sealed record SuiteReport(int Passed, IReadOnlyList<string> Failed, IReadOnlyList<SkippedTest> Skipped)
{
    public override string ToString() => $"{Passed} passed, {Failed.Count} failed, {Skipped.Count} skipped";
}
