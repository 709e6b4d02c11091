using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Hybrid.AppHost.Hosting.Postgres;

/// <summary>Healthy when the database answers a query.</summary>
internal sealed class PostgresHealthCheck(IResourceWithConnectionString database) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            // Without a pool: a check must see the server as it is now.
            var connectionString = new NpgsqlConnectionStringBuilder(await database.GetConnectionStringAsync(cancellationToken))
            {
                Pooling = false,
                Timeout = 2,
                CommandTimeout = 2,
            };
            await using var connection = new NpgsqlConnection(connectionString.ConnectionString);
            await connection.OpenAsync(cancellationToken);
            await using var query = new NpgsqlCommand("SELECT 1", connection);
            await query.ExecuteScalarAsync(cancellationToken);
            return HealthCheckResult.Healthy();
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException or OperationCanceledException)
        {
            return HealthCheckResult.Unhealthy(e.Message);
        }
    }
}
