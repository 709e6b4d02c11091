using Hybrid.AppHost.Hosting;
using Hybrid.AppHost.Hosting.Postgres;
using Hybrid.AppHost.Start;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Aspire.Hosting;

/// <summary>Adds the catalog's database: an external one, a container, or the server programs of this machine.</summary>
internal static class PostgresHostingExtensions
{
    private const string Image = "postgres:17.6";
    private const string Server = "postgres";

    /// <summary>Adds the database in the way that the start options and this machine allow; whoever refers to it need not know which.</summary>
    public static IResourceBuilder<IResourceWithConnectionString> AddCatalogDatabase(
        this IDistributedApplicationBuilder builder, string name, Infrastructure infrastructure)
    {
        if (builder.Configuration.GetConnectionString(name) is { Length: > 0 })
            return builder.AddConnectionString(name);
        var postgres = new NativePostgres(infrastructure.State.FolderOf(Server));
        return infrastructure.UsesContainers
            ? builder.AddPostgresContainer(postgres, infrastructure).AddDatabase(name, NativePostgres.Database)
            : builder.AddNativePostgres(name, postgres, infrastructure);
    }

    private static IResourceBuilder<PostgresServerResource> AddPostgresContainer(
        this IDistributedApplicationBuilder builder, NativePostgres postgres, Infrastructure infrastructure)
    {
        // The password belongs to the data in the volume, so it must be the same at every start.
        var password = builder.AddParameter("postgres-password", postgres.Password, secret: true);
        return builder.AddPostgres(Server, password: password, port: infrastructure.Ports.Postgres)
            .WithImage(builder.Configuration["Hybrid:Images:Postgres"] is { Length: > 0 } image ? image : Image)
            .WithEndpoint("tcp", endpoint => endpoint.IsProxied = false)
            .WithEnvironment("PGDATA", "/var/lib/postgresql/data/pgdata")
            .WithEnvironment("POSTGRES_DB", NativePostgres.Database)
            .WithVolume(infrastructure.VolumeOf(Server), "/var/lib/postgresql/data")
            .AsServer("Database");
    }

    private static IResourceBuilder<ConnectionStringResource> AddNativePostgres(
        this IDistributedApplicationBuilder builder, string database, NativePostgres postgres, Infrastructure infrastructure)
    {
        var port = infrastructure.Ports.Postgres;
        // Without a pool: a check must see the server as it is now.
        builder.Services.AddHealthChecks().AddNpgSql(_ => postgres.ConnectionString(port) + ";Pooling=false;Timeout=2;Command Timeout=2", name: Server);
        var server = builder.AddExecutable(Server, PreparationExtensions.Launcher, infrastructure.State.FolderOf(Server))
            .WithEndpoint(port, name: "tcp", scheme: "tcp", isProxied: false)
            .RunsAsPrepared((progress, cancellationToken) => postgres.PrepareAsync(port, progress, cancellationToken))
            .WithHealthCheck(Server)
            .AsServer("Database");
        return builder.AddConnectionString(database, Later("connectionString", () => postgres.ConnectionString(port)))
            .WithConnectionProperty("Host", "127.0.0.1")
            .WithConnectionProperty("Port", $"{port}")
            .WithConnectionProperty("Username", NativePostgres.User)
            .WithConnectionProperty("Password", Later("password", postgres.Password))
            .WithConnectionProperty("DatabaseName", NativePostgres.Database)
            .WaitFor(server).WithParentRelationship(server).WithHealthCheck(Server).WithIconName("Table");
    }

    private static ReferenceExpression Later(string name, Func<string> read) => ReferenceExpression.Create($"{new LaterValue(name, read)}");

    /// <summary>Asked for only when it is needed: the password is made with the data, when the server is prepared.</summary>
    private sealed class LaterValue(string name, Func<string> read) : IValueProvider, IManifestExpressionProvider
    {
        public string ValueExpression => $"{{{Server}.{name}}}";

        public ValueTask<string?> GetValueAsync(CancellationToken cancellationToken) => new(read());
    }
}
