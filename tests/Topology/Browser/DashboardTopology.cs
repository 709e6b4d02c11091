using System.Net;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>The topology with Aspire's dashboard, as an ordinary start runs it.</summary>
public sealed class DashboardTopology : RunningTopology
{
    protected override bool HasDashboard => true;

    /// <summary>Its pages.</summary>
    public Uri Dashboard => new(Told("url"));

    /// <summary>The link that logs in, which the start prints.</summary>
    public Uri Login => new(Told("login"));

    /// <summary>The header that opens its telemetry API.</summary>
    public string ApiKey => Told("apiKey");

    /// <summary>Asks the telemetry API, which answers in OTLP's JSON.</summary>
    /// <param name="path">What is asked for, such as <c>spans?traceId=…</c>.</param>
    public async Task<(HttpStatusCode Status, string Text)> AskAsync(string path, string? key)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(Dashboard, $"/api/telemetry/{path}"));
        if (key is not null)
            request.Headers.Add("x-api-key", key);
        using var response = await Http.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private string Told(string name) =>
        (string?)Endpoints["dashboard"]?[name] ?? throw new InvalidOperationException($"endpoints.json has no {name} of the dashboard.");
}

/// <summary>All tests that need the dashboard share one.</summary>
[CollectionDefinition(Name)]
public sealed class SharedDashboard : ICollectionFixture<DashboardTopology>
{
    public const string Name = "dashboard";
}
