using System.Text.Json;

namespace Hybrid.AppHost;

/// <summary><c>endpoints.json</c>: where a script finds what runs.</summary>
internal static class EndpointsFile
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static async Task WriteAsync(Topology topology, string path, CancellationToken cancellationToken)
    {
        var content = new
        {
            resources = topology.Services.ToDictionary(s => s.Name, s => s.Endpoints.ToDictionary(e => e, s.UrlOf)),
            connectionStrings = new Dictionary<string, string?>
            {
                [topology.Database.Connection.Resource.Name] = await topology.Database.Connection.Resource.GetConnectionStringAsync(cancellationToken),
                [topology.Kafka.Connection.Resource.Name] = await topology.Kafka.Connection.Resource.GetConnectionStringAsync(cancellationToken),
            },
            postgresUri = PostgresUri(await topology.Database.Connection.Resource.GetConnectionStringAsync(cancellationToken)),
            kafkaIsStandIn = topology.Kafka.IsStandIn,
        };
        var draft = path + ".new";
        await File.WriteAllTextAsync(draft, JsonSerializer.Serialize(content, Indented), cancellationToken);
        // It carries the database's password.
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(draft, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.Move(draft, path, overwrite: true);
    }

    /// <summary>The form that psql takes.</summary>
    private static string PostgresUri(string? connectionString)
    {
        var parts = new Npgsql.NpgsqlConnectionStringBuilder(connectionString);
        return $"postgresql://{Uri.EscapeDataString(parts.Username ?? "")}:{Uri.EscapeDataString(parts.Password ?? "")}@{parts.Host}:{parts.Port}/{parts.Database}";
    }
}
