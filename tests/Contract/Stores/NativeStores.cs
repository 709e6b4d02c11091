using System.Net.Sockets;
using Hybrid.AppHost.Hosting.Kafka;
using Hybrid.AppHost.Hosting.Postgres;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Stores;

/// <summary>The server programs of this machine, prepared as AppHost prepares them. Without a Kafka its in-memory stand-in serves.</summary>
/// <param name="state">Holds a folder for each server.</param>
internal sealed class NativeStores(string state, Ports ports) : TestStores
{
    private readonly List<ChildProcess> servers = [];
    private readonly NativePostgres postgres = new(Path.Combine(state, "postgres"));
    private readonly NativeKafka kafka = new(Path.Combine(state, "kafka"));

    public override string Database => postgres.ConnectionString(ports.Postgres);

    public override string Kafka => $"127.0.0.1:{ports.Kafka}";

    public override bool KafkaIsStandIn => kafka.IsStandIn;

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        var progress = new Progress(TestContext.Current.SendDiagnosticMessage);
        // A fast shutdown: on SIGTERM the server waits for its clients to leave.
        Start("postgres", await postgres.PrepareAsync(ports.Postgres, progress, cancellationToken), endSignal: "INT");
        Start("kafka", await kafka.PrepareAsync(ports.Kafka, ports.KafkaController, progress, cancellationToken), endSignal: "TERM");
        // The planes themselves wait until the servers answer them.
        await servers[0].WaitAsync("to accept connections", () => ConnectAsync(ports.Postgres), failure => failure is SocketException);
        await servers[1].WaitAsync("to accept connections", () => ConnectAsync(ports.Kafka), failure => failure is SocketException);
    }

    public override Task<IReadOnlyList<string>> LogTailAsync(string server, int lines) =>
        Task.FromResult(servers.Find(s => s.Name == server)?.Tail(lines) ?? []);

    public override async ValueTask DisposeAsync()
    {
        foreach (var server in servers)
            await server.DisposeAsync();
        servers.Clear();
    }

    private void Start(string name, IReadOnlyList<string> command, string endSignal) =>
        servers.Add(ChildProcess.Start(name, command, Directory.CreateDirectory(Path.Combine(state, name)).FullName, endSignal: endSignal));

    private static async Task<bool> ConnectAsync(int port)
    {
        using var client = new TcpClient();
        await client.ConnectAsync("127.0.0.1", port);
        return true;
    }
}
