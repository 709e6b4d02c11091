using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Grpc.Net.Client;
using Hybrid.Pricing.V1;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Latency;

/// <summary>One more data plane of the running topology, whose quotes are delayed on purpose.</summary>
internal sealed class SlowDataPlane : IAsyncDisposable
{
    private readonly Process process;
    private readonly StateDirectory state;

    private SlowDataPlane(Process process, StateDirectory state, GrpcChannel channel)
    {
        this.process = process;
        this.state = state;
        Channel = channel;
        Pricing = new PricingService.PricingServiceClient(channel);
    }

    public GrpcChannel Channel { get; }

    public PricingService.PricingServiceClient Pricing { get; }

    public static async Task<SlowDataPlane> StartAsync(RunningTopology topology, TimeSpan delay, ITestOutputHelper output)
    {
        await SetUp.BuildRustAsync(output);
        var state = new StateDirectory();
        var (http, grpc) = (FreePort(), FreePort());
        var start = new ProcessStartInfo(Programs.DataPlane) { RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["NODE_ID"] = "slow-" + Guid.NewGuid().ToString("N")[..8];
        start.Environment["STATE_DIR"] = state.Path;
        start.Environment["HTTP_PORT"] = http.ToString(CultureInfo.InvariantCulture);
        start.Environment["GRPC_PORT"] = grpc.ToString(CultureInfo.InvariantCulture);
        start.Environment["CONTROL_PLANE_GRPC"] = topology.App.GetEndpoint("control-plane", "grpc").ToString().TrimEnd('/');
        start.Environment["ConnectionStrings__kafka"] = topology.KafkaBootstrap;
        start.Environment["QUOTE_DELAY_US"] = ((long)delay.TotalMicroseconds).ToString(CultureInfo.InvariantCulture);
        var process = Process.Start(start) ?? throw new InvalidOperationException("The data plane did not start.");
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return new SlowDataPlane(process, state, GrpcChannel.ForAddress($"http://127.0.0.1:{grpc}"));
    }

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
        state.Dispose();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
