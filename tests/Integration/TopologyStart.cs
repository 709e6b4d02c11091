namespace Hybrid.Tests.Integration;

/// <summary>Starts AppHost's entry point through the testing builder, and waits until every service is healthy.</summary>
internal static class TopologyStart
{
    private const int LogLines = 30;
    private static readonly string[] Services = ["control-plane", "data-plane-1", "data-plane-2", "metering"];
    private static readonly string[] Servers = ["postgres", "kafka-server"];

    public static async Task<DistributedApplication> StartAsync(string stateFolder, TimeSpan patience, params string[] moreArguments)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(patience);
        var builder = await DistributedApplicationTestingBuilder.CreateAsync<Projects.AppHost>(
            ["--random-ports", "--state", stateFolder, .. moreArguments], deadline.Token);
        var app = await builder.BuildAsync(deadline.Token);
        try
        {
            await app.StartAsync(deadline.Token);
            foreach (var service in Services)
                await app.ResourceNotifications.WaitForResourceHealthyAsync(service, deadline.Token);
            return app;
        }
        catch (Exception e)
        {
            var logs = ((string[])[.. Services, .. Servers]).Select(r => $"--- {r}, last lines\n{string.Join('\n', ResourceOutput.Tail(app, r, LogLines))}");
            await app.DisposeAsync();
            throw new InvalidOperationException($"The topology did not become healthy: {e.Message}\n{string.Join('\n', logs)}", e);
        }
    }
}
