using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace Hybrid.AppHost.Infrastructure;

/// <summary>Healthy when the database answers a query.</summary>
internal sealed class PostgresHealthCheck(string connectionString) : IHealthCheck
{
    // Without a pool: a check must see the server as it is now.
    private readonly string unpooled = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, Timeout = 2, CommandTimeout = 2 }.ConnectionString;

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            await using var connection = new NpgsqlConnection(unpooled);
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
