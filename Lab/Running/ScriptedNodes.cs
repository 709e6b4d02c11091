using System.Diagnostics;
using System.Threading.Channels;
using Grpc.Core;
using Grpc.Net.Client;
using Hybrid.Snapshot.V1;

namespace Hybrid.Lab.Running;

/// <summary>Nodes that receive the catalog and acknowledge it, but hold and price nothing: what they cost is not the control plane's.</summary>
internal sealed class ScriptedNodes : IAsyncDisposable
{
    private static readonly TimeSpan Heartbeats = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly CancellationTokenSource end = new();
    private readonly Channel<bool> arrivals = Channel.CreateUnbounded<bool>(new UnboundedChannelOptions { SingleReader = true });
    private readonly List<Node> nodes;
    private readonly List<Task> running;

    public ScriptedNodes(string controlPlane, int count)
    {
        nodes = [.. Enumerable.Range(0, count).Select(number => new Node($"lab-node-{number}", GrpcChannel.ForAddress(controlPlane), arrivals.Writer))];
        running = [.. nodes.Select(node => node.RunAsync(end.Token))];
    }

    /// <summary>What all of them have received, in bytes of messages.</summary>
    public long Bytes => nodes.Sum(node => node.Bytes);

    /// <summary>Waits until all of them have a version or a newer one.</summary>
    /// <returns>When the last of them had received what it has now, as <see cref="Stopwatch.GetTimestamp"/> counts.</returns>
    /// <exception cref="LabException">One does not get there.</exception>
    public async Task<long> HaveAsync(long version, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Patience);
        try
        {
            while (nodes.Any(node => node.Version < version))
            {
                if (running.Find(node => node.IsFaulted) is { } ended)
                    throw new LabException($"A node's stream ended: {ended.Exception!.InnerException!.Message}");
                await arrivals.Reader.ReadAsync(deadline.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new LabException($"{nodes.Count(node => node.Version < version)} of {nodes.Count} nodes did not get version {version} in {Patience.TotalMinutes:0} minutes.");
        }
        return nodes.Max(node => node.ReceivedAt);
    }

    public async ValueTask DisposeAsync()
    {
        await end.CancelAsync();
        try
        {
            await Task.WhenAll(running);
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException or LabException)
        {
            // That is how a stream ends which its client leaves.
        }
        foreach (var node in nodes)
            node.Dispose();
        end.Dispose();
    }

    /// <summary>One stream on a connection of its own.</summary>
    private sealed class Node(string id, GrpcChannel channel, ChannelWriter<bool> arrivals) : IDisposable
    {
        private readonly SemaphoreSlim sending = new(1);
        private long version;
        private long receivedAt;
        private long bytes;
        private ulong digest;

        public long Version => Volatile.Read(ref version);
        public long ReceivedAt => Volatile.Read(ref receivedAt);
        public long Bytes => Volatile.Read(ref bytes);

        public void Dispose()
        {
            channel.Dispose();
            sending.Dispose();
        }

        public async Task RunAsync(CancellationToken cancellationToken)
        {
            try
            {
                using var stream = new SnapshotService.SnapshotServiceClient(channel).StreamSnapshot(cancellationToken: cancellationToken);
                await SendAsync(stream, new() { Hello = new() { NodeId = id, SoftwareVersion = "lab" } });
                using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                var beating = BeatAsync(stream, ended.Token);
                await foreach (var message in stream.ResponseStream.ReadAllAsync(cancellationToken))
                    await ReceiveAsync(stream, message);
                await ended.CancelAsync();
                await beating;
                throw new LabException("The control plane ended it.");
            }
            finally
            {
                arrivals.TryWrite(true);
            }
        }

        private async Task ReceiveAsync(AsyncDuplexStreamingCall<StreamSnapshotRequest, StreamSnapshotResponse> stream, StreamSnapshotResponse message)
        {
            if (message.Update is not { } update)
                return;
            Volatile.Write(ref bytes, bytes + message.CalculateSize());
            if (update.MoreFollows)
                return;
            digest = update.Digest;
            Volatile.Write(ref receivedAt, Stopwatch.GetTimestamp());
            Volatile.Write(ref version, update.Version);
            arrivals.TryWrite(true);
            await SendAsync(stream, new() { Ack = new() { Nonce = update.Nonce, Version = update.Version, Digest = update.Digest } });
        }

        private async Task BeatAsync(AsyncDuplexStreamingCall<StreamSnapshotRequest, StreamSnapshotResponse> stream, CancellationToken cancellationToken)
        {
            using var timer = new PeriodicTimer(Heartbeats);
            try
            {
                while (await timer.WaitForNextTickAsync(cancellationToken))
                    await SendAsync(stream, new() { Heartbeat = new() { Version = Version, Digest = digest } });
            }
            catch (Exception e) when (e is OperationCanceledException or RpcException)
            {
                // The reader of the stream says why it ended.
            }
        }

        private async Task SendAsync(AsyncDuplexStreamingCall<StreamSnapshotRequest, StreamSnapshotResponse> stream, StreamSnapshotRequest message)
        {
            await sending.WaitAsync();
            try
            {
                await stream.RequestStream.WriteAsync(message);
            }
            finally
            {
                sending.Release();
            }
        }
    }
}
