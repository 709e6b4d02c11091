using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.Tests.LocalHosting;

/// <summary>Several processes of one resource: each has its own ports and is checked by itself.</summary>
public sealed class ReplicaTests
{
    [Fact]
    public async Task Each_replica_has_its_own_port_and_variables_and_the_reader_finds_all()
    {
        await using var host = new LocalHost();
        var service = host.AddPrinter("service").WithHttpEndpoint(name: "http", env: "HTTP_PORT").WithAnnotation(new ReplicaAnnotation(2));
        host.AddPrinter("client").WithReference(service.GetEndpoint("http"));
        await host.StartAsync();

        await host.BecomesAsync("client", KnownResourceStates.Finished);
        foreach (var replica in (string[])["service-1", "service-2"])
            await Eventually.HoldsAsync(
                $"{replica} to have ended", () => Task.FromResult(host.App.ResourceNotifications.TryGetCurrentState(replica, out var e) ? e.Snapshot.State?.Text : null),
                state => state == KnownResourceStates.Finished);

        int[] ports = [PortOf("service-1"), PortOf("service-2")];
        Assert.Equal(service.GetEndpoint("http").Port, ports[0]);
        Assert.NotEqual(ports[0], ports[1]);
        Assert.Contains($"services__service__http__0=http://localhost:{ports[0]}", host.LinesOf("client"));
        Assert.Contains($"services__service__http__1=http://localhost:{ports[1]}", host.LinesOf("client"));

        int PortOf(string replica) => int.Parse(
            host.LinesOf(replica).Single(l => l.StartsWith("HTTP_PORT=", StringComparison.Ordinal))["HTTP_PORT=".Length..],
            System.Globalization.CultureInfo.InvariantCulture);
    }

    [Fact]
    public async Task A_replica_that_does_not_answer_is_not_taken_for_one_that_does()
    {
        await using var host = new LocalHost();
        await using var server = new AnsweringServer(() => System.Net.HttpStatusCode.OK);
        var service = host.AddScript("service", "sleep 100").WithHttpEndpoint(name: "http").WithAnnotation(new ReplicaAnnotation(2)).WithHttpHealthCheck("/");
        await host.StartAsync();
        await server.ListenOnAsync(service.GetEndpoint("http").Port);

        await host.BecomesAsync("service", s => s.HealthStatus == HealthStatus.Healthy);
        await Eventually.HoldsAsync(
            "both to be checked", () => Task.FromResult(host.App.ResourceNotifications.Current), all => all.All(e => e.Snapshot.HealthStatus is not null));

        Assert.Equal(
            [("service-1", HealthStatus.Healthy), ("service-2", HealthStatus.Unhealthy)],
            host.App.ResourceNotifications.Current.Select(e => (e.ResourceId, e.Snapshot.HealthStatus!.Value)));
    }
}
