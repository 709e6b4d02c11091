using System.Text.RegularExpressions;
using Microsoft.Playwright;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>The dashboard's first page: the table of resources, and what can be done to them.</summary>
internal sealed class ResourcesPage(IPage page)
{
    /// <summary>Opens it by the link that logs in.</summary>
    public static async Task<ResourcesPage> LogInAsync(IPage page, Uri login)
    {
        await page.GotoAsync(login.ToString());
        await Assertions.Expect(page).ToHaveTitleAsync(new Regex("Hybrid resources", RegexOptions.IgnoreCase));
        return new ResourcesPage(page);
    }

    /// <summary>The line of a resource.</summary>
    public ILocator Row(string resource) =>
        page.Locator("tr.resource-row").Filter(new() { Has = page.Locator(".resource-name-text", new() { HasTextRegex = new Regex($"^{resource}$") }) });

    /// <summary>Fails unless the resource is running; one that is not healthy shows another state.</summary>
    public Task ExpectRunningAsync(string resource) => ExpectAsync(Row(resource).GetByRole(AriaRole.Gridcell, new() { Name = "Running", Exact = true }));

    /// <summary>Waits until the dashboard reports that the command has succeeded.</summary>
    public Task ExpectSuccessAsync(string resource, string command) => ExpectAsync(page.GetByText($"{resource} \"{command}\" succeeded").First);

    /// <summary>Chooses an item in the menu of the resource, through the menus above it.</summary>
    public async Task ChooseAsync(string resource, params string[] path)
    {
        var row = Row(resource);
        await row.GetByRole(AriaRole.Button, new() { Name = "Actions" }).ClickAsync();
        foreach (var item in path)
            await row.Locator("fluent-menu-item", new() { HasTextRegex = new Regex($"^\\s*{item}\\b") }).ClickAsync();
    }

    /// <summary>Presses a button of the dialog that is open.</summary>
    public Task PressAsync(string button) =>
        page.Locator("fluent-dialog fluent-button", new() { HasTextRegex = new Regex($"^\\s*{button}\\s*$") }).ClickAsync();

    /// <summary>Types into the fields of the dialog that is open, in their order.</summary>
    public async Task FillAsync(params string[] values)
    {
        var fields = page.Locator("fluent-dialog fluent-text-input input");
        for (var i = 0; i < values.Length; i++)
            await fields.Nth(i).FillAsync(values[i]);
    }

    private static Task ExpectAsync(ILocator what) => Assertions.Expect(what).ToBeVisibleAsync(new() { Timeout = (float)Eventually.Patience.TotalMilliseconds });
}
