using System.Globalization;
using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.Tests.LocalHosting;

/// <summary>When resources start, start again, and are done.</summary>
public sealed class LifecycleTests
{
    [Fact]
    public async Task A_crashed_process_comes_back_and_the_log_says_why()
    {
        await using var host = new LocalHost();
        host.AddScript("service", "echo up; sleep 100");
        await host.StartAsync();
        var first = await host.HealthyAsync("service");
        await host.LineAsync("service", l => l == "up");

        await ResourceProcess.KillAndWaitForReturnAsync(host.App, "service");

        var second = await host.HealthyAsync("service");
        Assert.NotEqual(first.Snapshot.ProcessId, second.Snapshot.ProcessId);
        Assert.Equal(1, second.Snapshot.Restarts);
        Assert.Matches(@"^service exited with code 137 \(killed\); restart 1 in \d\.\d s$", await host.LineAsync("host", l => l.Contains("restart 1")));
        await Eventually.HoldsAsync("the second greeting", () => Task.FromResult(host.LinesOf("service").Count), n => n == 2);
    }

    [Fact]
    public async Task What_a_crashed_process_has_started_ends_with_it()
    {
        await using var host = new LocalHost();
        host.AddScript("service", "sleep 1000 & echo child $!; wait");
        await host.StartAsync();
        var child = int.Parse((await host.LineAsync("service", l => l.StartsWith("child"))).Split(' ')[1], CultureInfo.InvariantCulture);
        Assert.True(ProcessLife.IsAlive(child));

        await ResourceProcess.KillAndWaitForReturnAsync(host.App, "service");

        await ProcessLife.EndedAsync(child);
    }

    [Fact]
    public async Task A_resource_is_held_back_until_what_it_waits_for_is_healthy()
    {
        await using var host = new LocalHost();
        var healthy = false;
        host.Builder.Services.AddHealthChecks().AddCheck(
            "gate", () => Volatile.Read(ref healthy) ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("not yet"));
        var first = host.AddScript("first", "sleep 100").WithHealthCheck("gate");
        host.AddScript("second", "echo up; sleep 100").WaitFor(first);
        host.AddScript("third", "sleep 100").WaitForStart(first);
        await host.StartAsync();

        await host.BecomesAsync("first", s => s.HealthStatus == HealthStatus.Unhealthy);
        await host.HealthyAsync("third");
        await host.BecomesAsync("second", KnownResourceStates.Waiting);
        Assert.Empty(host.LinesOf("second"));

        Volatile.Write(ref healthy, true);
        await host.HealthyAsync("second");
    }

    [Fact]
    public async Task An_http_check_asks_the_endpoint_and_a_crash_is_noticed_before_the_next_check()
    {
        var status = HttpStatusCode.ServiceUnavailable;
        await using var host = new LocalHost();
        await using var server = new AnsweringServer(() => status);
        host.AddScript("service", "sleep 100").WithHttpEndpoint(name: "http").WithHttpHealthCheck("/readyz", endpointName: "http");
        await host.StartAsync();
        var endpoint = host.Builder.Resources.OfType<ExecutableResource>().Single().GetEndpoint("http");
        await host.BecomesAsync("service", s => s.HealthStatus == HealthStatus.Unhealthy);

        await server.ListenOnAsync(endpoint.Port);
        await Eventually.HoldsAsync("the check to ask", () => Task.FromResult(server.Paths), paths => paths.Count > 0);
        Assert.All(server.Paths, path => Assert.Equal("/readyz", path));
        status = HttpStatusCode.OK;
        var healthy = await host.HealthyAsync("service");

        using (var process = System.Diagnostics.Process.GetProcessById(healthy.Snapshot.ProcessId!.Value))
            process.Kill();
        // The next check of a healthy resource is half a minute away.
        var ended = await host.BecomesAsync("service", s => s.Restarts == 1 || s.State?.Text == KnownResourceStates.Exited)
            .WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.NotEqual(HealthStatus.Healthy, ended.Snapshot.HealthStatus);
    }

    [Fact]
    public async Task A_job_runs_once_and_lets_the_others_go()
    {
        await using var host = new LocalHost();
        var job = host.AddScript("job", "echo done");
        host.AddScript("service", "sleep 100").WaitForCompletion(job);
        await host.StartAsync();

        await host.HealthyAsync("service");

        var finished = await host.BecomesAsync("job", KnownResourceStates.Finished);
        Assert.Equal(0, finished.Snapshot.ExitCode);
        Assert.Equal(["done"], host.LinesOf("job"));
    }

    [Fact]
    public async Task A_job_that_fails_fails_the_run_of_those_who_wait()
    {
        await using var host = new LocalHost();
        var job = host.AddScript("job", "echo no such table; exit 3");
        host.AddScript("service", "sleep 100").WaitForCompletion(job);
        await host.StartAsync();

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(() => host.HealthyAsync("service"));

        Assert.Equal("service waits for job to complete, which has failed (exit code 3): no such table", e.Message);
    }

    [Fact]
    public async Task Bad_configuration_is_not_tried_again_and_fails_the_run_of_those_who_wait()
    {
        await using var host = new LocalHost();
        host.Builder.Services.AddHealthChecks().AddCheck("never", () => HealthCheckResult.Unhealthy());
        var bad = host.AddScript("bad", "echo HTTP_PORT is not set >&2; exit 2").WithHealthCheck("never");
        host.AddScript("service", "sleep 100").WaitFor(bad);
        await host.StartAsync();

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(() => host.HealthyAsync("service"));

        Assert.Equal("service waits for bad, which cannot start (exit code 2 (bad configuration)): HTTP_PORT is not set", e.Message);
        Assert.Single(host.LinesOf("bad"));
    }

    [Fact]
    public async Task What_starts_explicitly_waits_for_its_command_and_other_commands_are_executed()
    {
        await using var host = new LocalHost();
        host.AddScript("tool", "echo ran").WithExplicitStart()
            .WithCommand("greet", "Greet", c => Task.FromResult(c.ResourceName == "tool" ? CommandResults.Success() : CommandResults.Failure()))
            .WithCommand("fail", "Fail", _ => throw new InvalidOperationException("on purpose"));
        await host.StartAsync();
        await host.BecomesAsync("tool", KnownResourceStates.NotStarted);
        var commands = host.App.ResourceCommands;

        Assert.True((await commands.ExecuteCommandAsync("tool", "greet", TestContext.Current.CancellationToken)).Success);
        Assert.Equal("on purpose", (await commands.ExecuteCommandAsync("tool", "fail", TestContext.Current.CancellationToken)).ErrorMessage);
        Assert.False((await commands.ExecuteCommandAsync("tool", "unknown", TestContext.Current.CancellationToken)).Success);
        Assert.Empty(host.LinesOf("tool"));

        Assert.True((await commands.ExecuteCommandAsync("tool", KnownResourceCommands.StartCommand, TestContext.Current.CancellationToken)).Success);
        await host.BecomesAsync("tool", KnownResourceStates.Finished);
        Assert.Equal(["ran"], host.LinesOf("tool"));
    }

    [Fact]
    public async Task A_stopped_resource_stays_stopped_until_it_is_started()
    {
        await using var host = new LocalHost();
        host.AddScript("service", "sleep 100");
        await host.StartAsync();
        var running = await host.HealthyAsync("service");

        await host.App.ResourceCommands.ExecuteCommandAsync("service", KnownResourceCommands.StopCommand, TestContext.Current.CancellationToken);
        var stopped = await host.BecomesAsync("service", KnownResourceStates.Exited);
        Assert.Null(stopped.Snapshot.ProcessId);
        Assert.False(ProcessLife.IsAlive(running.Snapshot.ProcessId!.Value));

        await host.App.ResourceCommands.ExecuteCommandAsync("service", KnownResourceCommands.StartCommand, TestContext.Current.CancellationToken);
        await host.HealthyAsync("service");
    }

    [Fact]
    public async Task Output_is_kept_in_memory_and_in_a_file()
    {
        await using var host = new LocalHost();
        host.AddScript("service", "echo out; echo err >&2; sleep 100");
        await host.StartAsync();
        await host.LineAsync("service", l => l == "out");
        await host.LineAsync("service", l => l == "err");

        await host.App.StopAsync(TestContext.Current.CancellationToken);

        var file = await File.ReadAllLinesAsync(host.PathOf("logs/service.log"), TestContext.Current.CancellationToken);
        Assert.Equal(["err", "out"], file.Order());
    }
}
