using System.Globalization;
using Microsoft.Playwright;
using Npgsql;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>The dashboard in a browser, as a person uses it.</summary>
[Collection(SharedDashboard.Name)]
public sealed class DashboardTests(DashboardTopology topology, Chromium chromium, ITestOutputHelper output)
    : TopologyTest(topology, output), IClassFixture<Chromium>
{
    private static readonly string[] Resources = [.. TopologyStart.Services, .. TopologyStart.Servers, "hybriddb"];

    [Fact]
    public async Task Every_resource_is_listed_running_and_healthy()
    {
        var page = await chromium.NewPageAsync();
        var resources = await ResourcesPage.LogInAsync(page, topology.Login);

        foreach (var resource in Resources)
            await resources.ExpectRunningAsync(resource);
        await Assertions.Expect(page.Locator("tr.resource-row")).ToHaveCountAsync(Resources.Length);
        foreach (var link in (string[])["REST", "OpenAPI", "Health"])
            await Assertions.Expect(resources.Row("control-plane").GetByRole(AriaRole.Link, new() { Name = link, Exact = true })).ToBeVisibleAsync();
        await KeepAsync(page, "resources");
    }

    [Fact]
    public async Task Passwords_are_masked()
    {
        var page = await chromium.NewPageAsync();
        var resources = await ResourcesPage.LogInAsync(page, topology.Login);
        await resources.ShowDetailsAsync("control-plane");

        await Assertions.Expect(page.GetByText("ConnectionStrings__hybriddb", new() { Exact = true })).ToBeAttachedAsync();
        var password = new NpgsqlConnectionStringBuilder(await Topology.App.GetConnectionStringAsync("hybriddb", Cancellation)).Password;
        Assert.NotEmpty(password ?? "");
        Assert.DoesNotContain(password!, await page.ContentAsync(), StringComparison.Ordinal);
        await KeepAsync(page, "details");
    }

    [Fact]
    public async Task The_trace_of_a_quote_is_shown()
    {
        var item = await CreateItemAsync(100);
        var rule = await CreateTaxRuleAsync(0);
        var node = Topology.Nodes[0];
        await Topology.AppliedAsync(node.Name, rule.Version);
        var caller = new TracedRequest();
        await node.Pricing.QuoteAsync(Basket((item.Sku, 1)), caller.Metadata, cancellationToken: Cancellation);
        await Eventually.HoldsAsync("the trace in the dashboard", () => topology.Api.SpansAsync($"?traceId={caller.TraceId}"), spans => spans.Count == 2);

        var page = await chromium.NewPageAsync();
        await ResourcesPage.LogInAsync(page, topology.Login);
        await page.GotoAsync(new Uri(topology.Dashboard, $"/traces/detail/{caller.TraceId}").ToString());

        await Assertions.Expect(page.GetByText("hybrid.pricing.v1.PricingService/Quote", new() { Exact = true }).First).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("MSG kafka hybrid.quotes.v1", new() { Exact = true })).ToBeVisibleAsync();
        await KeepAsync(page, "trace");
    }

    [Fact]
    public async Task A_killed_program_comes_back()
    {
        var page = await chromium.NewPageAsync();
        var resources = await ResourcesPage.LogInAsync(page, topology.Login);
        await resources.ExpectRunningAsync("metering");
        var killed = ResourceProcess.IdOf(Topology.App, "metering");

        await resources.CommandAsync("metering", "Kill");
        await Assertions.Expect(page.GetByText("Kill this process with SIGKILL?")).ToBeVisibleAsync();
        Assert.Equal(killed, ResourceProcess.IdOf(Topology.App, "metering"));
        Topology.ExpectCrash("metering");
        await resources.PressAsync("Yes");

        await Eventually.HoldsAsync(
            "metering to have a new process", () => Task.FromResult(ResourceProcess.IdOf(Topology.App, "metering")), id => id is not null && id != killed);
        await Topology.App.ResourceNotifications.WaitForResourceHealthyAsync("metering", WaitBehavior.WaitOnResourceUnavailable, Cancellation).WaitAsync(Eventually.Patience, Cancellation);
        await resources.ExpectRunningAsync("metering");
    }

    [Fact]
    public async Task Quotes_that_are_sent_from_the_dashboard_reach_the_ledger()
    {
        const int rate = 50, seconds = 2;
        var before = await Sums.OfLedgerAsync(Topology.Database, "DEMO");
        var page = await chromium.NewPageAsync();
        var resources = await ResourcesPage.LogInAsync(page, topology.Login);

        await resources.CommandAsync("data-plane-1", "Send quotes");
        await resources.FillAsync(rate.ToString(CultureInfo.InvariantCulture), seconds.ToString(CultureInfo.InvariantCulture));
        await KeepAsync(page, "send-quotes");
        await resources.PressAsync("Send quotes");

        await resources.ExpectSuccessAsync("data-plane-1", "Send quotes");
        await Settlement.WaitAsync(Topology);
        var after = await Sums.OfLedgerAsync(Topology.Database, "DEMO");
        Assert.InRange(after.Quotes - before.Quotes, rate * seconds, long.MaxValue);
    }

    [Fact]
    public async Task Structured_logs_and_metrics_show_data()
    {
        var page = await chromium.NewPageAsync();
        await ResourcesPage.LogInAsync(page, topology.Login);

        await page.GotoAsync(new Uri(topology.Dashboard, "/structuredlogs").ToString());
        await Assertions.Expect(page.GetByText("node connected", new() { Exact = true }).First).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("serving", new() { Exact = true }).First).ToBeVisibleAsync();
        await KeepAsync(page, "structured-logs");

        await page.GotoAsync(new Uri(topology.Dashboard, "/metrics/resource/control-plane").ToString());
        await page.Locator("fluent-tree-item[title='hybrid.fleet.nodes']").ClickAsync();
        await Assertions.Expect(page.GetByText("Nodes ever seen, by whether they are connected.")).ToBeVisibleAsync();
        await Assertions.Expect(page.Locator(".js-plotly-plot .scatterlayer .trace").First).ToBeAttachedAsync();
        await KeepAsync(page, "metrics");
    }

    private async Task KeepAsync(IPage page, string name) => Output.WriteLine(await Chromium.KeepAsync(page, name));
}
