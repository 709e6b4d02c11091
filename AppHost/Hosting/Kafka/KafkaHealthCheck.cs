using System.Globalization;
using System.Net.Sockets;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.AppHost.Hosting.Kafka;

/// <summary>
/// Healthy when the broker answers an ApiVersions request. An open port is not enough: Kafka binds it long before it serves,
/// and a whole client for one question would keep threads and connections in the host.
/// </summary>
internal sealed class KafkaHealthCheck(IResourceWithConnectionString kafka) : IHealthCheck
{
    // Size 10; api key 18 (ApiVersions), version 0, correlation id 7, null client id. After the Kafka protocol guide.
    private static readonly byte[] Request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Patience);
        try
        {
            var address = (await kafka.GetConnectionStringAsync(deadline.Token) ?? "").Split(':');
            using var client = new TcpClient();
            await client.ConnectAsync(address[0], int.Parse(address[^1], CultureInfo.InvariantCulture), deadline.Token);
            var stream = client.GetStream();
            await stream.WriteAsync(Request, deadline.Token);
            var answer = new byte[8];
            await stream.ReadExactlyAsync(answer, deadline.Token);
            return answer[4..].AsSpan().SequenceEqual(Request.AsSpan(8, 4)) ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("not a Kafka broker");
        }
        catch (Exception e) when (e is SocketException or IOException or OperationCanceledException)
        {
            return HealthCheckResult.Unhealthy(e.Message);
        }
    }
}
