using System.Globalization;
using Grpc.Net.Client;
using Hybrid.AppHost.Start;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Latency;

/// <summary>One more data plane of the running topology, whose quotes are delayed on purpose.</summary>
internal sealed class SlowDataPlane : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly StateDirectory state = new();
    private readonly Task<SubprocessResult> run;

    public SlowDataPlane(RunningTopology topology, TimeSpan delay)
    {
        var (http, grpc) = Ports.Free().DataPlanes[0].Ports;
        run = Subprocess.RunAsync(Programs.Rust("data-plane"), [], cancellationToken: stop.Token, environment: new Dictionary<string, string?>
        {
            ["NODE_ID"] = "slow-" + Guid.NewGuid().ToString("N")[..8],
            ["STATE_DIR"] = state.Path,
            ["HTTP_PORT"] = http.ToString(CultureInfo.InvariantCulture),
            ["GRPC_PORT"] = grpc.ToString(CultureInfo.InvariantCulture),
            ["CONTROL_PLANE_GRPC"] = topology.App.GetEndpoint("control-plane", "grpc").ToString().TrimEnd('/'),
            ["ConnectionStrings__kafka"] = topology.KafkaBootstrap,
            ["QUOTE_DELAY_US"] = delay.TotalMicroseconds.ToString(CultureInfo.InvariantCulture),
        });
        var address = new Uri($"http://127.0.0.1:{grpc}");
        var channel = GrpcChannel.ForAddress(address);
        Node = new DataPlaneNode("the slow node", new Uri($"http://127.0.0.1:{http}"), address, new(channel), channel);
    }

    public DataPlaneNode Node { get; }

    public async ValueTask DisposeAsync()
    {
        Node.Channel.Dispose();
        if (run.IsCompleted)
            throw new InvalidOperationException($"The slow data plane ended before the test did:\n{(await run).Output}");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        stop.Dispose();
        state.Dispose();
    }
}
