using System.Net;
using System.Net.Sockets;

namespace Hybrid.Tests.LocalHosting;

/// <summary>What stands in the way of a start is said in one line, before anything is started.</summary>
public sealed class StartTests
{
    [Fact]
    public async Task A_taken_port_is_named_with_its_holder()
    {
        using var holder = new TcpListener(IPAddress.Loopback, 0);
        holder.Start();
        var port = ((IPEndPoint)holder.LocalEndpoint).Port;
        await using var host = new LocalHost();
        host.AddScript("first", "touch started; sleep 100");
        host.AddScript("second", "sleep 100").WithHttpEndpoint(port, name: "http");

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(host.StartAsync);

        Assert.StartsWith($"Port {port} of second (http) is taken by process {Environment.ProcessId} (", e.Message);
        Assert.Contains("--random-ports", e.Message);
        Assert.False(File.Exists(host.PathOf("started")));
    }

    [Theory]
    [InlineData("no-such-program", "broken: the program 'no-such-program' is not on PATH")]
    [InlineData("./bin/service", "bin/service does not exist. Build or install it")]
    [InlineData("./plain", "plain is not executable")]
    public async Task A_missing_program_is_named_with_what_to_do(string command, string expected)
    {
        await using var host = new LocalHost();
        await File.WriteAllTextAsync(host.PathOf("plain"), "text", TestContext.Current.CancellationToken);
        host.Builder.AddExecutable("broken", command, host.Directory.FullName);

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(host.StartAsync);

        Assert.Contains(expected, e.Message);
    }

    [Fact]
    public async Task A_program_that_another_resource_makes_may_be_missing_at_first()
    {
        await using var host = new LocalHost();
        var build = host.AddScript("build", "printf '#!/bin/sh\\necho built; sleep 100\\n' > made; chmod +x made");
        host.Builder.AddExecutable("made", "./made", host.Directory.FullName).WaitForCompletion(build);
        await host.StartAsync();

        await host.LineAsync("made", l => l == "built");
    }

    [Fact]
    public async Task Two_different_ports_of_one_endpoint_are_refused()
    {
        await using var host = new LocalHost();
        host.AddScript("service", "sleep 100").WithHttpEndpoint(port: 21_001, targetPort: 21_002);

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(host.StartAsync);

        Assert.Contains("port 21001 and target port 21002", e.Message);
    }

    [Fact]
    public async Task A_circle_of_waits_is_named()
    {
        await using var host = new LocalHost();
        var a = host.AddScript("a", "sleep 100");
        var b = host.AddScript("b", "sleep 100").WaitFor(a);
        a.WaitFor(b);

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(host.StartAsync);

        Assert.Equal("Resources wait for each other: a -> b -> a.", e.Message);
    }

    [Fact]
    public async Task Names_are_checked_when_they_are_given()
    {
        await using var host = new LocalHost();
        host.AddScript("service", "true");

        Assert.Throws<DistributedApplicationException>(() => host.AddScript("SERVICE", "true"));
        foreach (var name in (string[])["", "1st", "a_b", "a--b", "a-", new string('a', 65)])
            Assert.ThrowsAny<ArgumentException>(() => host.AddScript(name, "true"));
    }

    [Fact]
    public async Task Containers_are_refused_with_one_clear_sentence()
    {
        await using var host = new LocalHost();

        var e = Assert.Throws<NotSupportedException>(() => host.Builder.AddPostgres("postgres").WithDataVolume().AddDatabase("db"));
        Assert.Contains("AddPostgres needs a container", e.Message);
        Assert.Throws<NotSupportedException>(() => host.Builder.AddKafka("kafka").WithKafkaUI());
    }
}
