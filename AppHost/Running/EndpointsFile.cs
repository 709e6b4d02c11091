using System.Text.Json;
using Npgsql;

namespace Hybrid.AppHost.Running;

/// <summary>The dashboard, for scripts.</summary>
/// <param name="Url">Its pages.</param>
/// <param name="Login">The link that logs in.</param>
/// <param name="ApiKey">Value of the header <c>x-api-key</c> for its telemetry API.</param>
internal sealed record DashboardAddress(string Url, string Login, string? ApiKey);

/// <summary><c>endpoints.json</c>: where a script finds what runs.</summary>
internal static class EndpointsFile
{
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static async Task WriteAsync(DistributedApplicationModel model, DashboardAddress? dashboard, string path, CancellationToken cancellationToken)
    {
        var connectionStrings = new Dictionary<string, string?>();
        foreach (var resource in model.Resources.OfType<IResourceWithConnectionString>())
            connectionStrings[resource.Name] = await resource.GetConnectionStringAsync(cancellationToken);
        var content = new
        {
            resources = model.Resources.OfType<IResourceWithEndpoints>().Where(r => r.Name != StartReport.Dashboard).ToDictionary(r => r.Name, UrlsOf),
            connectionStrings,
            postgresUri = PostgresUri(connectionStrings.GetValueOrDefault("hybriddb")),
            kafkaIsStandIn = model.Resources.OfType<NativeKafkaResource>().Any(kafka => kafka.IsStandIn),
            dashboard,
        };
        var draft = path + ".new";
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
        File.Move(draft, path, overwrite: true);
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
