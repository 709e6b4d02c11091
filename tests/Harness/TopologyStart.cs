using System.Text.Json.Nodes;
using Aspire.Hosting.ApplicationModel;

namespace Hybrid.Tests.Harness;

/// <summary>Starts AppHost's entry point through the testing builder, and waits until every service is healthy.</summary>
internal static class TopologyStart
{
    private const int LogLines = 30;

    /// <summary>A first start builds both planes.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    public static readonly string[] Services = ["control-plane", "data-plane-1", "data-plane-2", "metering"];
    public static readonly string[] Servers = ["postgres", "kafka"];

    /// <param name="otlpEndpoint">Where the services send their telemetry; null for the dashboard, if there is one, else for nowhere.</param>
    /// <param name="withDashboard">Whether Aspire's dashboard runs too, as in an ordinary start.</param>
    public static async Task<DistributedApplication> StartAsync(string stateFolder, Uri? otlpEndpoint = null, bool withDashboard = false)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(Patience);
        // Native servers, also beside a container engine: the tests kill and pause processes. CI runs the topology on containers by --check.
        List<string> arguments = ["--random-ports", "--infrastructure", "native", "--state", stateFolder];
        // The testing builder gives each endpoint another port than the one asked for; --random-ports has already chosen free ones.
        arguments.Add("DcpPublisher:RandomizePorts=false");
        if (otlpEndpoint is not null)
            arguments.Add($"ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL={otlpEndpoint}");
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(
            [.. arguments], (options, _) => options.DisableDashboard = !withDashboard, deadline.Token);
        var app = await builder.BuildAsync(deadline.Token);
        try
        {
            await app.StartAsync(deadline.Token);
            foreach (var service in Services)
                await app.ResourceNotifications.WaitForResourceHealthyAsync(service, WaitBehavior.WaitOnResourceUnavailable, deadline.Token);
            return app;
        }
        catch (Exception e)
        {
            var logs = new List<string>();
            foreach (var resource in Services.Concat(Servers))
                logs.Add($"--- {resource}, last lines\n{string.Join('\n', await ResourceOutput.TailAsync(app, resource, LogLines))}");
            await app.DisposeAsync();
            throw new InvalidOperationException($"The topology did not become healthy: {e.Message}\n{string.Join('\n', logs)}", e);
        }
    }

    /// <summary>What the running AppHost says of itself in <c>endpoints.json</c>, which it writes when everything is healthy.</summary>
    public static async Task<JsonNode> EndpointsAsync(string stateFolder)
    {
        var file = Path.Combine(stateFolder, "endpoints.json");
        await Eventually.HoldsAsync("endpoints.json", () => Task.FromResult(File.Exists(file)), there => there);
        return JsonNode.Parse(await File.ReadAllTextAsync(file)) ?? throw new InvalidOperationException("endpoints.json is empty.");
    }
}
