using Hybrid.Toolchain;
using Microsoft.Playwright;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>
/// Chromium, driven by Playwright. The package brings Playwright's driver; the browser is the machine's own, named by
/// <c>HYBRID_CHROMIUM</c> or found on the path.
/// </summary>
public sealed class Chromium : IAsyncLifetime
{
    private static readonly string[] Names = ["chromium", "chromium-browser", "google-chrome"];

    // No sandbox: it needs a plain user, and CI runs as root. Nothing but the dashboard on loopback is opened.
    private static readonly string[] Arguments =
        ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

    private IPlaywright? playwright;
    private IBrowser? browser;

    /// <summary>A page of a user without history. Skips the test where this machine has no browser.</summary>
    public async Task<IPage> NewPageAsync()
    {
        var program = Variable("HYBRID_CHROMIUM") ?? Names.Select(Subprocess.Find).FirstOrDefault(found => found is not null);
        Assert.SkipWhen(
            program is null, $"This machine has no browser: none of {string.Join(", ", Names)} is on the path. Install one, or name it by HYBRID_CHROMIUM.");
        playwright ??= await Playwright.CreateAsync();
        browser ??= await playwright.Chromium.LaunchAsync(new() { ExecutablePath = program, Args = Arguments });
        var context = await browser.NewContextAsync(new() { ViewportSize = new() { Width = 1440, Height = 810 }, ColorScheme = ColorScheme.Light });
        // The dashboard shares two cores with the whole topology.
        context.SetDefaultTimeout((float)Eventually.Patience.TotalMilliseconds);
        return await context.NewPageAsync();
    }

    /// <summary>Keeps what the page looks like now, in the folder that <c>HYBRID_SCREENSHOTS</c> names.</summary>
    public static Task KeepAsync(IPage page, string name) => page.ScreenshotAsync(new()
    {
        Path = Path.Combine(Variable("HYBRID_SCREENSHOTS") ?? Path.Combine(AppContext.BaseDirectory, "screenshots"), name + ".png"),
        Animations = ScreenshotAnimations.Disabled,
    });

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (browser is not null)
            await browser.DisposeAsync();
        playwright?.Dispose();
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
