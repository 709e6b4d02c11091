using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.AppHost.Infrastructure;

/// <summary>Chooses Postgres: an external server, a container, or the machine's own binaries.</summary>
internal static class CatalogDatabase
{
    public static InfrastructureServer AddCatalogDatabase(this IDistributedApplicationBuilder builder, string name, Preparation prepared)
    {
        if (builder.Configuration.GetConnectionString(name) is { Length: > 0 })
        {
            InfrastructureServer.Announce("Postgres", $"external, by ConnectionStrings:{name}");
            var external = builder.AddConnectionString(name);
            return new InfrastructureServer(external, external);
        }
        if (ContainerEngine.InUse)
        {
            InfrastructureServer.Announce("Postgres", "container");
            var container = builder.AddPostgres("postgres", port: prepared.Ports.Postgres).WithDataVolume().AddDatabase(name, NativePostgres.Database);
            return new InfrastructureServer(container, container);
        }

        var native = NativePostgres.Prepare(prepared);
        InfrastructureServer.Announce("Postgres", $"native server, {prepared.Tools.Postgres!.Folder}, data in {native.DataFolder}");
        builder.Services.AddHealthChecks().AddCheck("postgres", new PostgresHealthCheck(native.ConnectionString));
        var server = builder.AddExecutable("postgres", native.Command, native.DataFolder, native.Arguments)
            .WithEndpoint(prepared.Ports.Postgres, name: "tcp", scheme: "tcp", isProxied: false)
            .WithHealthCheck("postgres");
        foreach (var (variable, value) in native.Environment)
            server.WithEnvironment(variable, value);
        var connection = builder.AddConnectionString(name, ReferenceExpression.Create($"{native.ConnectionString}"));
        return new InfrastructureServer(connection, server);
    }
}
