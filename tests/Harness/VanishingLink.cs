using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Hybrid.Tests.Harness;

/// <summary>
/// A link to a server, on which peers can vanish as behind a router that forgets them: what is sent is taken and goes nowhere, and
/// no end hears that the other has closed.
/// </summary>
internal sealed class VanishingLink : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource ending = new();

    /// <summary>The sockets that their program has not closed, with the connection that they are an end of.</summary>
    private readonly ConcurrentDictionary<TcpClient, Connection> ends = new();

    private readonly Task accepting;
    private volatile bool silent;

    public VanishingLink()
    {
        listener.Start();
        accepting = AcceptAsync();
    }

    /// <summary>Where the link begins.</summary>
    public Uri Url => new($"http://{listener.LocalEndpoint}");

    /// <summary>Where it leads.</summary>
    public Uri? Target { get; set; }

    /// <summary>How many ends are open of connections that are carried.</summary>
    public int Carried => ends.Values.Count(connection => !connection.Lost);

    /// <summary>How many ends are open of connections whose other end has vanished.</summary>
    public int HalfOpen => ends.Values.Count(connection => connection.Lost);

    /// <summary>The connections are lost for good, and others that are opened lead nowhere.</summary>
    public void FallSilent()
    {
        silent = true;
        foreach (var connection in ends.Values)
            connection.Lost = true;
    }

    /// <summary>Connections that are opened from now on are carried again.</summary>
    public void Carry() => silent = false;

    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        listener.Stop();
        await accepting;
        foreach (var end in ends.Keys)
            end.Dispose();
        ending.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = CarryAsync(await listener.AcceptTcpClientAsync(ending.Token));
        }
        catch (Exception e) when (IsTheEnd(e))
        {
        }
    }

    private async Task CarryAsync(TcpClient near)
    {
        var connection = new Connection { Lost = silent };
        var far = new TcpClient();
        ends[near] = connection;
        try
        {
            if (!connection.Lost)
            {
                await far.ConnectAsync(Target!.Host, Target.Port, ending.Token);
                ends[far] = connection;
                // The server's end is lost as well if the link fell silent meanwhile.
                connection.Lost |= silent;
            }
            await Task.WhenAll(PumpAsync(near, far, connection), far.Connected ? PumpAsync(far, near, connection) : Task.CompletedTask);
        }
        catch (Exception e) when (IsTheEnd(e))
        {
            // The server is away.
            ends.TryRemove(near, out _);
        }
        near.Dispose();
        far.Dispose();
    }

    /// <summary>Passes on what one program sends, and that it has closed its end.</summary>
    private async Task PumpAsync(TcpClient from, TcpClient to, Connection connection)
    {
        var buffer = new byte[64 << 10];
        try
        {
            while (await from.GetStream().ReadAsync(buffer, ending.Token) is > 0 and var count)
            {
                if (!connection.Lost)
                    await to.GetStream().WriteAsync(buffer.AsMemory(0, count), ending.Token);
            }
            if (!connection.Lost)
                to.Client.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (IsTheEnd(e))
        {
            if (!connection.Lost)
                to.Close();
        }
        ends.TryRemove(from, out _);
        if (connection.Lost)
            from.Close();
    }

    private static bool IsTheEnd(Exception e) => e is IOException or SocketException or ObjectDisposedException or InvalidOperationException or OperationCanceledException;

    private sealed class Connection
    {
        private volatile bool lost;

        public bool Lost { get => lost; set => lost = value; }
    }
}
