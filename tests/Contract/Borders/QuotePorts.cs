using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Hybrid.Catalog.V1;
using Hybrid.Tests.Contract.Twins;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>Data planes with one catalog, which answer quotes at once, after a second, or not in the time of a test.</summary>
public sealed class QuotePorts : IAsyncLifetime
{
    private readonly ScriptedControlPlane control = new();
    private RunningTwin? quick;
    private RunningTwin? stuck;

    /// <summary>An item with the longest name, of 10.00 EUR in DE at 19%.</summary>
    public static string LongSku { get; } = new('m', 64);

    internal RunningTwin Quick => quick!;
    internal RunningTwin Stuck => stuck!;

    public async ValueTask InitializeAsync()
    {
        await SetUp.BuildRustAsync();
        await control.StartAsync();
        quick = await StartAsync("quick", TimeSpan.Zero);
        var items = new[] { "mug", LongSku }.Select(sku => new Item { Sku = sku, UnitPrice = new() { CurrencyCode = "EUR", MinorUnits = 1_000 } });
        await control.OfferAsync(new([.. items], [new() { Jurisdiction = "DE", RatePpm = 190_000 }], []), "quick");
        stuck = await StartServingAsync("stuck", TimeSpan.FromMinutes(10));
    }

    public async ValueTask DisposeAsync()
    {
        if (stuck is not null)
            await stuck.DisposeAsync();
        if (quick is not null)
            await quick.DisposeAsync();
        await control.DisposeAsync();
    }

    /// <summary>Starts one that answers after a second, for a test of its own.</summary>
    internal Task<RunningTwin> StartDelayedAsync() => StartServingAsync("delayed", TimeSpan.FromSeconds(1));

    private static Task<RunningTwin> StartAsync(string node, TimeSpan delay, Uri controlPlane) =>
        RunningTwin.StartAsync(node, Programs.Rust("data-plane"), (port, other, state) => new()
        {
            ["NODE_ID"] = node,
            ["GRPC_PORT"] = $"{port}",
            ["HTTP_PORT"] = $"{other}",
            ["STATE_DIR"] = state,
            ["CONTROL_PLANE_GRPC"] = $"{controlPlane}",
            // No broker listens there, and no quote waits for one.
            ["ConnectionStrings__kafka"] = "127.0.0.1:1",
            ["QUOTE_DELAY_US"] = $"{(long)delay.TotalMicroseconds}",
        });

    private Task<RunningTwin> StartAsync(string node, TimeSpan delay) => StartAsync(node, delay, control.Address);

    private async Task<RunningTwin> StartServingAsync(string node, TimeSpan delay)
    {
        var plane = await StartAsync(node, delay);
        try
        {
            using var channel = GrpcChannel.ForAddress(plane.Address);
            await Eventually.HoldsAsync(
                $"{node} to serve", async () => (await new Health.HealthClient(channel).CheckAsync(new())).Status,
                status => status == HealthCheckResponse.Types.ServingStatus.Serving, retryOn: Eventually.IsNotYet);
            return plane;
        }
        catch
        {
            await plane.DisposeAsync();
            throw;
        }
    }
}
