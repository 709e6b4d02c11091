using Hybrid.Tests.Contract.Stores;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Planes;

/// <summary>What the fixture itself promises.</summary>
public sealed class BarePlanesTests
{
    [Fact]
    public async Task A_start_that_fails_half_way_leaves_nothing_behind()
    {
        var stores = Environment.GetEnvironmentVariable(TestStores.Variable);
        Environment.SetEnvironmentVariable(TestStores.Variable, "native");
        // The stores start, and then the control plane refuses this setting.
        Environment.SetEnvironmentVariable("LOG_LEVEL", "nonsense");
        try
        {
            await using var planes = new BarePlanes();
            var failure = await Assert.ThrowsAsync<InvalidOperationException>(async () => await planes.InitializeAsync());

            Assert.StartsWith("control-plane ended with 2", failure.Message);
            Assert.Contains("LOG_LEVEL", failure.Message);
            Assert.False(Directory.Exists(planes.StateFolder));
            var left = await Subprocess.RunAsync("ps", ["-eo", "args"], cancellationToken: TestContext.Current.CancellationToken);
            Assert.True(left.Succeeded, left.Output);
            Assert.DoesNotContain(planes.StateFolder, left.Output);
        }
        finally
        {
            Environment.SetEnvironmentVariable("LOG_LEVEL", null);
            Environment.SetEnvironmentVariable(TestStores.Variable, stores);
        }
    }
}
