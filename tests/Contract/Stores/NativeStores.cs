using Confluent.Kafka;
using Hybrid.AppHost.Hosting.Kafka;
using Hybrid.AppHost.Hosting.Postgres;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;
using Npgsql;

namespace Hybrid.Tests.Contract.Stores;

/// <summary>The server programs of this machine, prepared as AppHost prepares them. Without a Kafka its in-memory stand-in serves.</summary>
/// <param name="state">Holds a folder for each server.</param>
internal sealed class NativeStores(string state, Ports ports) : IStores
{
    private readonly List<ChildProcess> servers = [];

    public string Description { get; private set; } = "native servers";

    public bool InContainers => false;

    public string Database { get; private set; } = "";

    public string Kafka { get; } = $"127.0.0.1:{ports.Kafka}";

    public bool KafkaIsStandIn { get; private set; }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var binaries = await Setup.PostgresAsync(Progress.Silent, cancellationToken)
            ?? throw new SetupException("There is no PostgreSQL on this machine and none could be brought. `dotnet run --project eng/Toolchain -- doctor` names the remedy.");
        var kafka = await Setup.KafkaAsync(Progress.Silent, cancellationToken);
        KafkaIsStandIn = kafka.Distribution is null;
        if (KafkaIsStandIn)
            await Programs.BuildRustAsync(Progress.Silent, cancellationToken);
        Description = $"native servers: PostgreSQL of {binaries.Folder}, "
            + (kafka.Distribution is { } jars ? $"Kafka of {jars.Libraries}" : $"and the in-memory stand-in of Kafka, because {kafka.WhyNot}");

        var postgresFolder = Folder("postgres");
        var postgres = new NativePostgres(postgresFolder);
        Database = new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = ports.Postgres,
            Username = NativePostgres.User,
            Password = postgres.Password(),
            Database = NativePostgres.Database,
        }.ConnectionString;
        // A fast shutdown: on SIGTERM the server waits for its clients to leave.
        var database = Start("postgres", await postgres.PrepareAsync(binaries, ports.Postgres, cancellationToken), postgresFolder, endSignal: "INT");

        var kafkaFolder = Folder("kafka");
        var broker = Start(
            "kafka",
            kafka.Distribution is { } distribution
                ? await new NativeKafka(kafkaFolder).PrepareAsync(distribution, ports.Kafka, ports.KafkaController, cancellationToken)
                : [Programs.KafkaStandIn, $"{ports.Kafka}"],
            kafkaFolder, endSignal: "TERM");

        await database.WaitAsync("to answer a query", QueryAsync, Eventually.IsNotYet);
        await broker.WaitAsync("to name its brokers", NameBrokersAsync, IsNotYet);
    }

    public Task<IReadOnlyList<string>> LogTailAsync(string server, int lines) =>
        Task.FromResult(servers.Find(s => s.Name == server)?.Tail(lines) ?? []);

    public async ValueTask DisposeAsync()
    {
        foreach (var server in servers)
            await server.DisposeAsync();
        servers.Clear();
    }

    private string Folder(string server) => Directory.CreateDirectory(Path.Combine(state, server)).FullName;

    private ChildProcess Start(string name, IReadOnlyList<string> command, string folder, string endSignal)
    {
        var server = ChildProcess.Start(name, command, folder, endSignal: endSignal);
        servers.Add(server);
        return server;
    }

    private async Task<bool> QueryAsync()
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(Database) { Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var query = new NpgsqlCommand("SELECT 1", connection);
        return await query.ExecuteScalarAsync() is 1;
    }

    private Task<bool> NameBrokersAsync() => Task.Run(() =>
    {
        using var client = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = Kafka }).SetLogHandler((_, _) => { }).Build();
        return client.GetMetadata(TimeSpan.FromSeconds(1)).Brokers.Count > 0;
    });

    private static bool IsNotYet(Exception failure) =>
        failure is KafkaException { Error.Code: ErrorCode.Local_Transport or ErrorCode.Local_AllBrokersDown or ErrorCode.Local_TimedOut };
}
