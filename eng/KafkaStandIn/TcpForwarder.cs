using System.Net;
using System.Net.Sockets;

namespace Hybrid.KafkaStandIn;

/// <summary>
/// Gives the mock cluster a stable bootstrap port. Clients learn the broker's own port from its metadata, so only their first
/// connection comes through here.
/// </summary>
internal sealed class TcpForwarder(TcpListener listener, IPEndPoint target)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
                _ = ForwardAsync(await listener.AcceptTcpClientAsync(cancellationToken), cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
        }
    }

    private async Task ForwardAsync(TcpClient client, CancellationToken cancellationToken)
    {
        using (client)
        using (var broker = new TcpClient())
        {
            try
            {
                await broker.ConnectAsync(target, cancellationToken);
                var (near, far) = (client.GetStream(), broker.GetStream());
                await Task.WhenAny(near.CopyToAsync(far, cancellationToken), far.CopyToAsync(near, cancellationToken));
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
            {
                // One end went away; disposing both tells the other.
            }
        }
    }
}
