using Hybrid.AppHost.Hosting;
using Hybrid.AppHost.Hosting.Postgres;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;
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
            return builder.AddExternal(name);
        return infrastructure.UsesContainers
            ? builder.AddPostgresContainer(infrastructure).AddDatabase(name, NativePostgres.Database)
            : builder.AddNativePostgres(infrastructure).AddDatabase(name, infrastructure);
    }

    private static IResourceBuilder<PostgresServerResource> AddPostgresContainer(this IDistributedApplicationBuilder builder, Infrastructure infrastructure)
    {
        var (image, tag) = ContainerImage.Of(builder.Configuration, "Postgres", Image);
        // The password belongs to the data in the volume, so it must be the same at every start.
        var password = builder.AddParameter(
            "postgres-password", new NativePostgres(infrastructure.State.FolderOf(Server)).Password, secret: true);
        return builder.AddPostgres(Server, password: password, port: infrastructure.Ports.Postgres)
            .WithImage(image, tag)
            .WithEndpoint("tcp", endpoint => endpoint.IsProxied = false)
            .WithEnvironment("PGDATA", "/var/lib/postgresql/data/pgdata")
            .WithEnvironment("POSTGRES_DB", NativePostgres.Database)
            .WithVolume(infrastructure.VolumeOf(Server), "/var/lib/postgresql/data")
            .AsServer("Database");
    }

    private static IResourceBuilder<NativePostgresResource> AddNativePostgres(this IDistributedApplicationBuilder builder, Infrastructure infrastructure)
    {
        var command = new NativeCommand();
        var folder = infrastructure.State.FolderOf(Server);
        return builder.AddResource(new NativePostgresResource(Server, folder))
            .WithEndpoint(infrastructure.Ports.Postgres, name: NativePostgresResource.PrimaryEndpointName, scheme: "tcp", isProxied: false)
            .WithPreparation("Preparing", async (progress, cancellationToken) =>
            {
                var binaries = await Setup.PostgresAsync(progress, cancellationToken)
                    ?? throw new SetupException("There is no PostgreSQL on this machine and none could be brought. `dotnet run --project eng/Toolchain -- doctor` names the remedy.");
                progress.Say($"Postgres: native server, {binaries.Folder}, data in {folder}");
                command.Set(await new NativePostgres(folder).PrepareAsync(binaries, infrastructure.Ports.Postgres, cancellationToken));
            })
            .WithArgs(command.AddTo)
            .AsServer("Database");
    }

    private static IResourceBuilder<NativePostgresDatabaseResource> AddDatabase(
        this IResourceBuilder<NativePostgresResource> server, string name, Infrastructure infrastructure)
    {
        var database = new NativePostgresDatabaseResource(
            name, server.Resource, new NativePostgres(infrastructure.State.FolderOf(Server)).Password);
        server.ApplicationBuilder.Services.AddHealthChecks().AddCheck(name, new PostgresHealthCheck(database));
        // Health checks of the server are the database's too: the host asks those of all ancestors.
        server.WithHealthCheck(name);
        return server.ApplicationBuilder.AddResource(database).MirrorsStateOf(server.Resource).WithIconName("Table");
    }
}
