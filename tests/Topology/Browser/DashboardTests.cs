using System.Net;
using Microsoft.Playwright;
using Npgsql;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>The dashboard in a browser, as a person uses it, and its telemetry API.</summary>
[Collection(SharedDashboard.Name)]
public sealed class DashboardTests(DashboardTopology topology, Chromium chromium, ITestOutputHelper output)
    : TopologyTest(topology, output), IClassFixture<Chromium>
{
    [Fact]
    public async Task The_telemetry_API_has_spans_and_log_records_of_every_service()
    {
        var basket = await StockAsync(100);
        foreach (var node in Topology.Nodes)
            await node.Pricing.QuoteAsync(basket, new TracedRequest().Metadata, cancellationToken: Cancellation);
        foreach (var service in RunningTopology.Services)
        {
            await HasAsync($"spans?resource={service}", "\"spanId\"");
            await HasAsync($"logs?resource={service}", "\"body\"");
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("another")]
    public async Task Only_who_has_the_key_is_answered(string? key) =>
        Assert.Equal(HttpStatusCode.Unauthorized, (await topology.AskAsync("spans", key)).Status);

    [Fact]
    public async Task Every_resource_is_listed_running_and_healthy()
    {
        var (page, resources) = await LogInAsync();

        string[] expected = [.. RunningTopology.Services, .. RunningTopology.Servers, "hybriddb"];
        foreach (var resource in expected)
            await resources.ExpectRunningAsync(resource);
        await Assertions.Expect(page.Locator("tr.resource-row")).ToHaveCountAsync(expected.Length);
        foreach (var link in (string[])["REST", "OpenAPI", "Health"])
            await Assertions.Expect(resources.Row("control-plane").GetByRole(AriaRole.Link, new() { Name = link, Exact = true })).ToBeVisibleAsync();
        await Chromium.KeepAsync(page, "resources");
    }

    [Fact]
    public async Task Passwords_are_masked()
    {
        var (page, resources) = await LogInAsync();
        await resources.ChooseAsync("control-plane", "View details");

        await Assertions.Expect(page.GetByText("Executable: control-plane")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("ConnectionStrings__hybriddb", new() { Exact = true })).ToBeAttachedAsync();
        var password = new NpgsqlConnectionStringBuilder(await Topology.App.GetConnectionStringAsync("hybriddb", Cancellation)).Password;
        Assert.NotEmpty(password ?? "");
        Assert.DoesNotContain(password!, await page.ContentAsync(), StringComparison.Ordinal);
        await Chromium.KeepAsync(page, "details");
    }

    [Fact]
    public async Task The_trace_of_a_quote_is_shown()
    {
        var basket = await StockAsync(100);
        var caller = new TracedRequest();
        await Topology.Nodes[0].Pricing.QuoteAsync(basket, caller.Metadata, cancellationToken: Cancellation);
        await HasAsync($"spans?traceId={caller.TraceId}", "PricingService/Quote");
        await HasAsync($"spans?traceId={caller.TraceId}", "publish hybrid.quotes.v1");

        var (page, _) = await LogInAsync();
        await page.GotoAsync(new Uri(topology.Dashboard, $"/traces/detail/{caller.TraceId}").ToString());

        await Assertions.Expect(page.GetByText("hybrid.pricing.v1.PricingService/Quote", new() { Exact = true }).First).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("MSG kafka hybrid.quotes.v1", new() { Exact = true })).ToBeVisibleAsync();
        await Chromium.KeepAsync(page, "trace");
    }

    [Fact]
    public async Task A_killed_program_comes_back()
    {
        var (page, resources) = await LogInAsync();
        await resources.ExpectRunningAsync("metering");
        var running = Topology.ProcessOf("metering");

        await resources.ChooseAsync("metering", "Commands", "Kill");
        await Assertions.Expect(page.GetByText("Kill this process with SIGKILL?")).ToBeVisibleAsync();
        Assert.Equal(running, Topology.ProcessOf("metering"));
        Topology.ExpectCrash("metering");
        await Topology.ReplacedAsync("metering", () => resources.PressAsync("Yes"));
        await resources.ExpectRunningAsync("metering");
    }

    [Fact]
    public async Task Quotes_that_are_sent_from_the_dashboard_reach_the_ledger()
    {
        var before = await Sums.OfLedgerAsync(Topology.Database, "DEMO");
        var (page, resources) = await LogInAsync();

        await resources.ChooseAsync("data-plane-1", "Commands", "Send quotes");
        await resources.FillAsync("50", "2");
        await Chromium.KeepAsync(page, "send-quotes");
        await resources.PressAsync("Send quotes");

        await resources.ExpectSuccessAsync("data-plane-1", "Send quotes");
        await Settlement.WaitAsync(Topology);
        var after = await Sums.OfLedgerAsync(Topology.Database, "DEMO");
        Assert.InRange(after.Quotes - before.Quotes, 50 * 2, long.MaxValue);
    }

    [Fact]
    public async Task Structured_logs_and_metrics_show_data()
    {
        var (page, _) = await LogInAsync();

        await page.GotoAsync(new Uri(topology.Dashboard, "/structuredlogs").ToString());
        await Assertions.Expect(page.GetByText("node connected", new() { Exact = true }).First).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("serving", new() { Exact = true }).First).ToBeVisibleAsync();
        await Chromium.KeepAsync(page, "structured-logs");

        await page.GotoAsync(new Uri(topology.Dashboard, "/metrics/resource/control-plane").ToString());
        await page.Locator("fluent-tree-item[title='hybrid.fleet.nodes']").ClickAsync();
        await Assertions.Expect(page.GetByText("Nodes ever seen, by whether they are connected.")).ToBeVisibleAsync();
        await Assertions.Expect(page.Locator(".js-plotly-plot .scatterlayer .trace").First).ToBeAttachedAsync();
        await Chromium.KeepAsync(page, "metrics");
    }

    /// <summary>Waits until the telemetry API's answer has a text.</summary>
    private async Task HasAsync(string path, string text) => await Eventually.HoldsAsync(
        $"{text} in {path}", () => topology.AskAsync(path, topology.ApiKey), answer => answer.Text.Contains(text, StringComparison.Ordinal));

    private async Task<(IPage Page, ResourcesPage Resources)> LogInAsync()
    {
        var page = await chromium.NewPageAsync();
        return (page, await ResourcesPage.LogInAsync(page, topology.Login));
    }
}
