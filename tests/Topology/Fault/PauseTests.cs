using System.Diagnostics;
using Hybrid.AppHost.Commands;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.Tests.Topology.Fault;

/// <summary>
/// A process that hangs with its connections open. Within ten seconds the dashboard shows that it is not well, and who else cannot do
/// all of its work without it, and that all is well again after it goes on.
/// </summary>
public sealed class PauseTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    private static readonly TimeSpan Told = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData("kafka", new[] { "kafka", "metering" }, new[] { "control-plane", "data-plane-1", "data-plane-2" })]
    [InlineData("postgres", new[] { "postgres", "hybriddb", "control-plane" }, new string[0])]
    [InlineData("control-plane", new[] { "control-plane" }, new[] { "data-plane-1", "data-plane-2" })]
    [InlineData("data-plane-1", new[] { "data-plane-1" }, new string[0])]
    [InlineData("metering", new[] { "metering" }, new string[0])]
    public async Task A_process_that_hangs_is_told_by_all_that_need_it(string resource, string[] unhealthy, string[] degraded)
    {
        try
        {
            await Topology.CommandAsync(resource, FaultCommands.Pause);
            await TellAsync("is not well", [.. unhealthy.Select(name => (name, HealthStatus.Unhealthy)), .. degraded.Select(name => (name, HealthStatus.Degraded))]);
        }
        finally
        {
            await Topology.CommandAsync(resource, FaultCommands.Resume);
        }
        await TellAsync("is well again", [.. unhealthy.Concat(degraded).Select(name => (name, HealthStatus.Healthy))]);
    }

    private async Task TellAsync(string what, (string Resource, HealthStatus Status)[] expected)
    {
        var clock = Stopwatch.StartNew();
        await Eventually.BecomesAsync(
            what, () => expected.Where(it => Topology.HealthOf(it.Resource) != it.Status).Select(it => $"{it.Resource} is {Topology.HealthOf(it.Resource)}").ToList(),
            wrong => wrong.Count == 0, Told);
        Output.WriteLine($"{what}: {string.Join(", ", expected.Select(it => it.Resource))} after {clock.Elapsed.TotalSeconds:0.0} s");
    }
}
