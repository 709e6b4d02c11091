using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hybrid.Snapshot.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Resource = Hybrid.Snapshot.V1.Resource;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>
/// A control plane that sends every node the catalog that a test wants, whole, also what no catalog of the real one could be at any
/// time: a used-up budget, a promotion that begins this instant.
/// </summary>
internal sealed class ScriptedControlPlane : IAsyncDisposable
{
    private readonly WebApplication server;
    private readonly ConcurrentDictionary<string, Ack> acks = new();
    private (Update? Update, TaskCompletionSource Replaced) current = (null, NewSignal());

    public ScriptedControlPlane()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(this);
        server = builder.Build();
        server.MapGrpcService<Service>();
    }

    public Uri Address => new(server.Urls.Single());

    public Task StartAsync() => server.StartAsync();

    public async ValueTask DisposeAsync()
    {
        // Streams that are open would hold up an orderly end.
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await server.StopAsync(now.Token);
        await server.DisposeAsync();
    }

    /// <summary>Offers a catalog, and waits until a node has answered.</summary>
    /// <returns>The version, and the node's answer.</returns>
    public async Task<(long Version, Ack Ack)> OfferAsync(OracleCatalog catalog, string node)
    {
        var version = (current.Update?.Version ?? 0) + 1;
        var update = new Update { Nonce = $"{version}", Version = version, Authoritative = true, CommittedAt = Timestamp.FromDateTimeOffset(DateTimeOffset.UtcNow) };
        void Add(string path, Resource resource)
        {
            update.Upserts.Add(resource);
            unchecked { update.Digest += Fnv1A($"{path}@{version}"); }
        }

        foreach (var item in catalog.Items)
            Add($"item/{item.Sku}", new Resource { Item = new(item) { Version = version } });
        foreach (var rule in catalog.TaxRules)
            Add($"tax_rule/{rule.Jurisdiction}/{(rule.Category.Length == 0 ? "standard" : rule.Category)}", new Resource { TaxRule = new(rule) { Version = version } });
        foreach (var promotion in catalog.Promotions)
            Add($"promotion/{promotion.PromotionId}", new Resource { Promotion = new(promotion) { Version = version } });
        var before = current;
        current = (update, NewSignal());
        before.Replaced.SetResult();
        var ack = await Eventually.BecomesAsync(
            $"{node} to apply version {version}", () => acks.GetValueOrDefault(node), answer => answer?.Version == version);
        Assert.Equal(update.Digest, ack!.Digest);
        return (version, ack);
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static ulong Fnv1A(string text) =>
        Encoding.UTF8.GetBytes(text).Aggregate(0xcbf29ce484222325, (hash, b) => unchecked((hash ^ b) * 0x100000001b3));

    private sealed class Service(ScriptedControlPlane control) : SnapshotService.SnapshotServiceBase
    {
        public override async Task StreamSnapshot(
            IAsyncStreamReader<StreamSnapshotRequest> requests, IServerStreamWriter<StreamSnapshotResponse> responses, ServerCallContext context)
        {
            await requests.MoveNext(context.CancellationToken);
            var node = requests.Current.Hello.NodeId;
            var reading = ReadAsync(node, requests, context.CancellationToken);
            for (Update? sent = null; !reading.IsCompleted;)
            {
                var (update, replaced) = control.current;
                if (update is not null && update != sent)
                    await responses.WriteAsync(new() { Update = sent = update });
                else
                    await responses.WriteAsync(new() { Heartbeat = new() { Version = sent?.Version ?? 0, Digest = sent?.Digest ?? 0 } });
                await Task.WhenAny(replaced.Task, reading, Task.Delay(TimeSpan.FromSeconds(1), context.CancellationToken));
            }
        }

        private async Task ReadAsync(string node, IAsyncStreamReader<StreamSnapshotRequest> requests, CancellationToken cancellationToken)
        {
            await foreach (var request in requests.ReadAllAsync(cancellationToken))
            {
                if (request.Ack is { MoreFollows: false } ack)
                    control.acks[node] = ack;
            }
        }
    }
}
