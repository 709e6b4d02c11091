using System.Text.Json.Nodes;

namespace Hybrid.Tests.Topology.Browser;

/// <summary>The topology with Aspire's dashboard, as an ordinary start runs it.</summary>
public sealed class DashboardTopology : RunningTopology
{
    protected override bool HasDashboard => true;

    /// <summary>Its pages.</summary>
    public Uri Dashboard => Address("url");

    /// <summary>The link that logs in, which the start prints.</summary>
    public Uri Login => Address("login");

    /// <summary>Its telemetry API.</summary>
    internal TelemetryApi Api => new(Http, Dashboard, (string?)Node["apiKey"] ?? throw new InvalidOperationException("endpoints.json has no API key."));

    private JsonNode Node => Endpoints["dashboard"] ?? throw new InvalidOperationException("endpoints.json has no dashboard.");

    private Uri Address(string name) => new((string?)Node[name] ?? throw new InvalidOperationException($"endpoints.json has no {name} of the dashboard."));
}

/// <summary>The collection of all tests that need the dashboard.</summary>
[CollectionDefinition(Name)]
public sealed class SharedDashboard : ICollectionFixture<DashboardTopology>
{
    public const string Name = "dashboard";
}
