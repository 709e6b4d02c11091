using Hybrid.Toolchain;

namespace Hybrid.Tests.Topology.Loop;

/// <summary>The README's curl commands, as they stand there, but for the ports.</summary>
public sealed class ReadmeTests(RunningTopology topology, ITestOutputHelper output) : TopologyTest(topology, output)
{
    [Fact]
    public async Task Every_curl_command_of_the_README_succeeds()
    {
        if (Subprocess.Find("curl") is null || Subprocess.Find("bash") is null)
            Assert.Skip("This machine has no curl or no bash.");
        var readme = await File.ReadAllLinesAsync(Path.Combine(Workspace.Root, "README.md"), Cancellation);
        var commands = readme.Where(line => line.StartsWith("curl ", StringComparison.Ordinal)).ToList();
        Assert.True(commands.Count >= 5);

        foreach (var command in commands)
        {
            // A price takes some milliseconds to reach the data planes.
            var result = await Eventually.HoldsAsync(command, () => RunAsync(command), r => r.Succeeded, TimeSpan.FromSeconds(10));
            Output.WriteLine($"{command}\n{result.Output}");
        }
    }

    private Task<SubprocessResult> RunAsync(string command)
    {
        var here = command
            .Replace("localhost:7100", Topology.ControlPlaneHttp.Authority, StringComparison.Ordinal)
            .Replace("localhost:7210", Topology.Nodes[0].Http.Authority, StringComparison.Ordinal)
            .Replace("localhost:7220", Topology.Nodes[1].Http.Authority, StringComparison.Ordinal);
        Assert.DoesNotContain("localhost:7", here, StringComparison.Ordinal);
        return Subprocess.RunAsync("bash", ["-c", here.Replace("curl ", "curl -sS --fail-with-body ", StringComparison.Ordinal)], cancellationToken: Cancellation);
    }
}
