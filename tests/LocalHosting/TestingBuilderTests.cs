using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.Tests.LocalHosting;

/// <summary>An AppHost's own entry point, run step by step by a test.</summary>
public sealed class TestingBuilderTests : IDisposable
{
    private readonly DirectoryInfo state = Directory.CreateTempSubdirectory("testing-builder-");

    public void Dispose() => state.Delete(recursive: true);

    [Fact]
    public async Task The_entry_point_waits_for_the_test_at_each_step()
    {
        await using var builder = await CreateAsync("Scripts:service=echo up; sleep 100");
        Assert.Equal("service", Assert.Single(builder.Resources).Name);
        Assert.Equal("Development", builder.Environment.EnvironmentName);
        Assert.EndsWith("SampleHost", builder.AppHostDirectory);
        builder.Services.AddHealthChecks().AddCheck("added", () => HealthCheckResult.Healthy());
        builder.CreateResourceBuilder((ExecutableResource)builder.Resources[0])
            .WithHealthCheck("added").WithHttpEndpoint(name: "http").WithEndpoint(scheme: "tcp", name: "raw");

        await using var app = await builder.BuildAsync(TestContext.Current.CancellationToken);
        Assert.Empty(app.ResourceNotifications.Current);

        await app.StartAsync(TestContext.Current.CancellationToken);
        var healthy = await app.ResourceNotifications.WaitForResourceHealthyAsync("service", TestContext.Current.CancellationToken)
            .WaitAsync(Eventually.Patience, TestContext.Current.CancellationToken);
        Assert.Equal("http", app.GetEndpoint("service").Scheme);
        Assert.Equal("tcp", app.GetEndpoint("service", "raw").Scheme);
        using var client = app.CreateHttpClient("service");
        Assert.Equal(app.GetEndpoint("service"), client.BaseAddress);
        Assert.Throws<ArgumentException>(() => app.GetEndpoint("service", "other"));
        Assert.Throws<ArgumentException>(() => app.GetEndpoint("other"));

        await app.DisposeAsync();
        Assert.False(ProcessLife.IsAlive(healthy.Snapshot.ProcessId!.Value));
    }

    [Fact]
    public async Task Several_run_side_by_side()
    {
        var other = Directory.CreateTempSubdirectory("testing-builder-");
        try
        {
            await using var first = await (await CreateAsync("Scripts:one=sleep 100")).BuildAsync(TestContext.Current.CancellationToken);
            await using var second = await (await DistributedApplicationTestingBuilder.CreateAsync<Projects.SampleHost>(
                [$"LocalHosting:StateDirectory={other.FullName}", "LocalHosting:Quiet=true", "Scripts:two=sleep 100"],
                TestContext.Current.CancellationToken)).BuildAsync(TestContext.Current.CancellationToken);
            await Task.WhenAll(first.StartAsync(TestContext.Current.CancellationToken), second.StartAsync(TestContext.Current.CancellationToken));

            await first.ResourceNotifications.WaitForResourceAsync("one", cancellationToken: TestContext.Current.CancellationToken);
            await second.ResourceNotifications.WaitForResourceAsync("two", cancellationToken: TestContext.Current.CancellationToken);
        }
        finally
        {
            other.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_test_may_leave_before_it_starts_or_builds()
    {
        await using (await CreateAsync("Scripts:service=sleep 100"))
        {
        }

        await using var builder = await CreateAsync("Scripts:service=sleep 100");
        await using var app = await builder.BuildAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task What_the_entry_point_throws_before_it_builds_surfaces()
    {
        var e = await Assert.ThrowsAsync<InvalidOperationException>(() => CreateAsync("Throw=on purpose"));

        Assert.Equal("on purpose", e.Message);
    }

    [Fact]
    public async Task What_the_entry_point_throws_at_its_end_surfaces()
    {
        var builder = await CreateAsync("ThrowAtEnd=on purpose", "Scripts:service=sleep 100");
        var app = await builder.BuildAsync(TestContext.Current.CancellationToken);
        await app.StartAsync(TestContext.Current.CancellationToken);

        var e = await Assert.ThrowsAsync<InvalidOperationException>(() => app.DisposeAsync().AsTask());

        Assert.Equal("on purpose", e.Message);
    }

    [Fact]
    public async Task What_stands_in_the_way_of_the_start_is_thrown_to_the_test()
    {
        await using var builder = await CreateAsync("Scripts:a=sleep 100", "Scripts:b=sleep 100", "Waits:a=b", "Waits:b=a");
        await using var app = await builder.BuildAsync(TestContext.Current.CancellationToken);

        await Assert.ThrowsAsync<DistributedApplicationException>(() => app.StartAsync(TestContext.Current.CancellationToken));
    }

    private Task<IDistributedApplicationTestingBuilder> CreateAsync(params string[] configuration) =>
        DistributedApplicationTestingBuilder.CreateAsync<Projects.SampleHost>(
            [$"LocalHosting:StateDirectory={state.FullName}", "LocalHosting:Quiet=true", .. configuration], TestContext.Current.CancellationToken);
}
