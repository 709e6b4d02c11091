using System.Net;
using Hybrid.AppHost.Start;
using Hybrid.Tests.Contract.Stores;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Planes;

/// <summary>
/// Both planes as plain processes on free ports, without AppHost's topology: the control plane, two data planes and metering, with
/// the variables that AppHost sets. What they are started on is <see cref="TestStores"/>'.
/// </summary>
public sealed class BarePlanes : RunningSystem
{
    private readonly StateDirectory state = new();
    private readonly List<ChildProcess> planes = [];
    private TestStores? stores;
    private bool stopped;

    /// <summary>Holds the data of the planes and of native stores; removed at the end.</summary>
    internal string StateFolder => state.Path;

    public override async Task<IReadOnlyList<string>> LogTailAsync(string resource, int lines) =>
        planes.Find(plane => plane.Name == resource)?.Tail(lines) ?? (stores is null ? [] : await stores.LogTailAsync(resource, lines));

    protected override async Task<SystemAddresses> StartAsync()
    {
        try
        {
            return await StartAllAsync(TestContext.Current.CancellationToken);
        }
        catch
        {
            await StopAsync();
            throw;
        }
    }

    protected override async Task StopAsync()
    {
        if (stopped)
            return;
        stopped = true;
        try
        {
            // Metering and the data planes first, so that their events are flushed before the control plane and Kafka end.
            foreach (var plane in Enumerable.Reverse(planes))
                await plane.DisposeAsync();
        }
        finally
        {
            if (stores is not null)
                await stores.DisposeAsync();
            state.Dispose();
        }
    }

    private async Task<SystemAddresses> StartAllAsync(CancellationToken cancellationToken)
    {
        await SetUp.BuildGoAsync();
        await SetUp.BuildRustAsync();
        var ports = Ports.Free();
        stores = await TestStores.ChooseAsync(state.Path, ports, cancellationToken);
        await stores.StartAsync(cancellationToken);

        var standIn = stores.KafkaIsStandIn ? "true" : "false";
        await StartPlaneAsync("control-plane", Programs.Go("control-plane"), ports.ControlPlane.Http, stores.Kafka, new()
        {
            ["GRPC_PORT"] = $"{ports.ControlPlane.Grpc}",
            ["ConnectionStrings__hybriddb"] = stores.Database,
            ["HYBRID_KAFKA_STAND_IN"] = standIn,
        });
        foreach (var (node, port) in ports.DataPlanes)
        {
            await StartPlaneAsync(node, Programs.Rust("data-plane"), port.Http, stores.Kafka, new()
            {
                ["GRPC_PORT"] = $"{port.Grpc}",
                ["NODE_ID"] = node,
                ["STATE_DIR"] = Path.Combine(state.Path, node),
                ["CONTROL_PLANE_GRPC"] = $"{Address(ports.ControlPlane.Grpc)}",
            });
        }
        await StartPlaneAsync("metering", Programs.Rust("metering"), ports.Metering, stores.Kafka, new() { ["HYBRID_KAFKA_STAND_IN"] = standIn });

        return new SystemAddresses(
            Address(ports.ControlPlane.Http), Address(ports.ControlPlane.Grpc),
            [.. ports.DataPlanes.Select(p => (p.Node, Address(p.Ports.Http), Address(p.Ports.Grpc)))],
            stores.Database, stores.Kafka, stores.KafkaIsStandIn);
    }

    private async Task StartPlaneAsync(string name, string program, int httpPort, string kafka, Dictionary<string, string?> environment)
    {
        environment["HTTP_PORT"] = $"{httpPort}";
        environment["ConnectionStrings__kafka"] = kafka;
        // Whatever receives the telemetry of the tests, it is not for these.
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = null;
        var plane = ChildProcess.Start(name, [program], state.Path, environment);
        planes.Add(plane);
        await plane.WaitAsync("to be ready", async () =>
        {
            using var response = await Http.GetAsync(new Uri(Address(httpPort), "/readyz"));
            return response.StatusCode == HttpStatusCode.OK;
        }, Eventually.IsNotYet);
    }

    private static Uri Address(int port) => new($"http://127.0.0.1:{port}");
}
