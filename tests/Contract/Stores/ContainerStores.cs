using DotNet.Testcontainers.Containers;
using Hybrid.AppHost.Hosting.Postgres;
using Testcontainers.Kafka;
using Testcontainers.PostgreSql;

namespace Hybrid.Tests.Contract.Stores;

/// <summary>Containers of Testcontainers.</summary>
internal sealed class ContainerStores : TestStores
{
    private PostgreSqlContainer? postgres;
    private KafkaContainer? kafka;

    public override string Database => postgres!.GetConnectionString();

    public override string Kafka => new Uri(kafka!.GetBootstrapAddress()).Authority;

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await ContainerEngine.RemoveLeftoversAsync(cancellationToken);
        await ContainerEngine.PullAsync(ContainerEngine.PostgresImage, ContainerEngine.PostgresImageVariable, cancellationToken);
        await ContainerEngine.PullAsync(ContainerEngine.KafkaImage, ContainerEngine.KafkaImageVariable, cancellationToken);

        postgres = new PostgreSqlBuilder(ContainerEngine.PostgresImage)
            .WithDatabase(NativePostgres.Database)
            .WithUsername(NativePostgres.User)
            .WithLabel(ContainerEngine.Label.Name, ContainerEngine.Label.Value)
            .Build();
        kafka = new KafkaBuilder(ContainerEngine.KafkaImage)
            .WithVendor(KafkaVendor.ApacheSoftwareFoundation)
            .WithEnvironment("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
            .WithLabel(ContainerEngine.Label.Name, ContainerEngine.Label.Value)
            .Build();
        await Task.WhenAll(postgres.StartAsync(cancellationToken), kafka.StartAsync(cancellationToken));
    }

    public override async Task<IReadOnlyList<string>> LogTailAsync(string server, int lines)
    {
        IContainer? container = server switch { "postgres" => postgres, "kafka" => kafka, _ => null };
        if (container is null)
            return [];
        var (output, errors) = await container.GetLogsAsync();
        return [.. (output + errors).Split('\n').TakeLast(lines)];
    }

    public override async ValueTask DisposeAsync()
    {
        if (kafka is not null)
            await kafka.DisposeAsync();
        if (postgres is not null)
            await postgres.DisposeAsync();
    }
}
