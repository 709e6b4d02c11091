using Microsoft.Extensions.Configuration;

namespace Hybrid.Tests.LocalHosting;

/// <summary>A host inside the test's own process, with a state directory of its own that is removed at the end.</summary>
internal sealed class LocalHost : IAsyncDisposable
{
    private DistributedApplication? app;

    public LocalHost()
    {
        Builder = DistributedApplication.CreateBuilder();
        Builder.Configuration["LocalHosting:StateDirectory"] = Directory.FullName;
        Builder.Configuration["LocalHosting:TelemetryPort"] = "0";
        Builder.Configuration["LocalHosting:Quiet"] = "true";
    }

    public DirectoryInfo Directory { get; } = System.IO.Directory.CreateTempSubdirectory("local-host-");

    public IDistributedApplicationBuilder Builder { get; }

    public DistributedApplication App => app ?? throw new InvalidOperationException("It is not started.");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public IResourceBuilder<ExecutableResource> AddScript(string name, string script) =>
        Builder.AddExecutable(name, "sh", Directory.FullName, "-c", script);

    public string PathOf(string file) => Path.Combine(Directory.FullName, file);

    public async Task StartAsync()
    {
        app = Builder.Build();
        await app.StartAsync(Cancellation);
    }

    public Task<ResourceEvent> HealthyAsync(string resource) =>
        App.ResourceNotifications.WaitForResourceHealthyAsync(resource, Cancellation).WaitAsync(Eventually.Patience, Cancellation);

    public Task<ResourceEvent> BecomesAsync(string resource, Func<CustomResourceSnapshot, bool> predicate) =>
        App.ResourceNotifications.WaitForResourceAsync(resource, e => predicate(e.Snapshot), Cancellation).WaitAsync(Eventually.Patience, Cancellation);

    public Task<ResourceEvent> BecomesAsync(string resource, string state) => BecomesAsync(resource, s => s.State?.Text == state);

    public IReadOnlyList<string> LinesOf(string resource) => ResourceOutput.Tail(App, resource, ResourceLogs.Capacity);

    public Task<string> LineAsync(string resource, Func<string, bool> predicate) => Eventually.HoldsAsync(
        $"a line of {resource}", () => Task.FromResult(LinesOf(resource).FirstOrDefault(predicate) ?? ""), line => line.Length > 0);

    /// <summary>A program that prints its environment, without a shell, which would leave out what it cannot name.</summary>
    public IResourceBuilder<ExecutableResource> AddPrinter(string name)
    {
        var printer = Builder.AddExecutable(name, "env", Directory.FullName);
        AddScript(name + "-reader", "sleep 100").WaitForCompletion(printer);
        return printer;
    }

    /// <summary>What a printer has printed.</summary>
    public async Task<Dictionary<string, string>> EnvironmentOfAsync(string resource)
    {
        await BecomesAsync(resource, KnownResourceStates.Finished);
        return LinesOf(resource).Where(l => l.Contains('=', StringComparison.Ordinal))
            .GroupBy(l => l[..l.IndexOf('=', StringComparison.Ordinal)])
            .ToDictionary(g => g.Key, g => g.Last()[(g.Key.Length + 1)..]);
    }

    public async ValueTask DisposeAsync()
    {
        if (app is not null)
            await app.DisposeAsync();
        Directory.Delete(recursive: true);
    }
}
