using System.Text.Json;
using Hybrid.AppHost.Start;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Hybrid.AppHost.Running;

/// <summary><c>endpoints.json</c>: where a script finds what runs.</summary>
internal sealed class EndpointsFile(StateFolder state, IConfiguration configuration, ILogger<EndpointsFile> terminal)
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <returns>The link that logs in to the dashboard; null where there is none.</returns>
    public async Task<string?> WriteAsync(DistributedApplicationModel model, CancellationToken cancellationToken)
    {
        var connectionStrings = new Dictionary<string, string?>();
        foreach (var resource in model.Resources.OfType<IResourceWithConnectionString>())
            connectionStrings[resource.Name] = await resource.GetConnectionStringAsync(cancellationToken);
        var url = model.Resources.Any(RunExtensions.IsDashboard) ? configuration["ASPNETCORE_URLS"]?.Split(';')[0] : null;
        var login = url is not null && configuration["AppHost:BrowserToken"] is { Length: > 0 } token ? $"{url}/login?t={token}" : url;
        var content = new
        {
            resources = model.Resources.OfType<IResourceWithEndpoints>().Where(resource => !resource.IsDashboard()).ToDictionary(r => r.Name, UrlsOf),
            connectionStrings,
            postgresUri = PostgresUri(connectionStrings.GetValueOrDefault("hybriddb")),
            kafkaIsStandIn = model.Resources.OfType<NativeKafkaResource>().Any(kafka => kafka.IsStandIn),
            // The key is the value of the header x-api-key for the dashboard's telemetry API.
            dashboard = url is null ? null : new { url, login, apiKey = configuration["AppHost:DashboardApiKey"] },
        };
        var draft = state.EndpointsFile + ".new";
        // It carries passwords: closed to others before anything is in it.
        await using (var file = new FileStream(draft, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            await JsonSerializer.SerializeAsync(file, content, Format, cancellationToken);
        }
        File.Move(draft, state.EndpointsFile, overwrite: true);
        terminal.LogInformation("Every URL and connection string: {File}", state.EndpointsFile);
        return login;
    }

    private static Dictionary<string, string> UrlsOf(IResourceWithEndpoints resource) =>
        resource.GetEndpoints().Where(endpoint => endpoint.IsAllocated).ToDictionary(endpoint => endpoint.EndpointName, endpoint => endpoint.Url);

    /// <summary>The form that psql takes.</summary>
    private static string? PostgresUri(string? connectionString)
    {
        if (connectionString is null)
            return null;
        var parts = new NpgsqlConnectionStringBuilder(connectionString);
        return $"postgresql://{Uri.EscapeDataString(parts.Username ?? "")}:{Uri.EscapeDataString(parts.Password ?? "")}@{parts.Host}:{parts.Port}/{parts.Database}";
    }
}
