using System.Text.RegularExpressions;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>The Lab's report as its reader sees it, made of the data of a full run that lies under docs/lab.</summary>
public sealed partial class LabReportTests(Chromium chromium) : IClassFixture<Chromium>
{
    private static readonly string Committed = Path.Combine(Workspace.Root, "docs/lab");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_report_of_the_committed_data_shows_claims_limits_and_charts_without_the_network()
    {
        using var folder = new StateDirectory();
        var lab = await Subprocess.RunAsync(
            "dotnet", [LabProgram, "--report", Path.Combine(Committed, "data.json"), "--output", folder.Path], cancellationToken: Cancellation);
        Assert.True(lab.Succeeded, lab.Tail());
        foreach (var file in (string[])["report.md", "report.html"])
            Assert.Equal(await File.ReadAllTextAsync(Path.Combine(Committed, file), Cancellation), await File.ReadAllTextAsync(Path.Combine(folder.Path, file), Cancellation));

        var page = await chromium.NewPageAsync();
        List<string> problems = [], asked = [];
        page.Console += (_, message) => problems.Add(message.Text);
        page.PageError += (_, error) => problems.Add(error);
        page.Request += (_, request) => asked.Add(request.Url);
        await page.GotoAsync(new Uri(Path.Combine(folder.Path, "report.html")).AbsoluteUri);

        Assert.Equal("Where Go and where Rust pays, measured", await page.Locator("h1").InnerTextAsync());
        Assert.True(await page.Locator("h2:has-text('claims') + table tbody tr").CountAsync() >= 10, "The claims are not all there.");
        Assert.True(await page.Locator("h2:has-text('limits') + table tbody tr").CountAsync() >= 5, "The limits are not all there.");
        var charts = await page.Locator("svg").AllAsync();
        Assert.True(charts.Count >= 8, $"There are {charts.Count} charts.");
        foreach (var chart in charts)
            Assert.True(await chart.BoundingBoxAsync() is { Width: > 300, Height: > 80 }, "A chart is not to be seen.");
        Assert.Empty(problems);
        Assert.Single(asked);
        await Chromium.KeepAsync(page, "lab-report");
    }

    [Fact]
    public async Task The_README_quotes_the_reports_claims()
    {
        var readme = await File.ReadAllTextAsync(Path.Combine(Workspace.Root, "README.md"), Cancellation);
        var claims = (await File.ReadAllLinesAsync(Path.Combine(Committed, "report.md"), Cancellation))
            .SkipWhile(line => !line.StartsWith("| claim |", StringComparison.Ordinal)).Skip(2).TakeWhile(line => line.StartsWith('|'))
            // Without the last column.
            .Select(line => string.Join('|', line.Split('|')[..^2]) + "|").ToList();
        Assert.NotEmpty(claims);
        Assert.All(claims, claim => Assert.Contains(claim, readme, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("docs/where-each-pays.md")]
    [InlineData("docs/performance.md")]
    public async Task Figures_with_an_interval_are_those_of_the_report(string document)
    {
        var (report, text) = (await File.ReadAllTextAsync(Path.Combine(Committed, "report.md"), Cancellation), await File.ReadAllTextAsync(Path.Combine(Workspace.Root, document), Cancellation));
        var figures = Figure().Matches(text).Select(match => match.Value.Replace(" ns", "", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(figures);
        Assert.All(figures, figure => Assert.Contains(figure, report, StringComparison.Ordinal));
    }

    /// <summary>Such as <c>1.44× (1.23–1.65)</c>.</summary>
    [GeneratedRegex(@"[\d.,]+(×| ns)? \([\d.,]+–[\d.,]+\)")]
    private static partial Regex Figure();

    /// <summary>The Lab in its own output folder, of the configuration that these tests were built in.</summary>
    private static string LabProgram { get; } = Path.Combine(
        Workspace.Root, "Lab/bin", Path.GetRelativePath(Path.Combine(AppContext.BaseDirectory, "../.."), AppContext.BaseDirectory), "Hybrid.Lab.dll");
}
