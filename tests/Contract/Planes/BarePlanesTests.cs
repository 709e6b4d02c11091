using Hybrid.Tests.Contract.Stores;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Planes;

/// <summary>What the fixture itself promises.</summary>
public sealed class BarePlanesTests
{
    [Fact]
    public async Task A_start_that_fails_half_way_leaves_nothing_behind()
    {
        await using var planes = new BarePlanes();
        // The stores start, and then the control plane refuses this setting.
        using var level = new Variable("LOG_LEVEL", "nonsense");
        using var stores = new Variable(StoreChoice.Variable, "native");

        var failure = await Assert.ThrowsAsync<InvalidOperationException>(async () => await planes.InitializeAsync());

        Assert.StartsWith("control-plane ended with 2", failure.Message);
        Assert.Contains("LOG_LEVEL", failure.Message);
        Assert.False(Directory.Exists(planes.StateFolder));
        var left = await Subprocess.RunAsync("ps", ["-eo", "args"], cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(left.Succeeded, left.Output);
        Assert.DoesNotContain(planes.StateFolder, left.Output);
    }

    /// <summary>A variable of this process, which what it starts inherits, and which gets its old value back.</summary>
    private sealed class Variable : IDisposable
    {
        private readonly string name;
        private readonly string? before;

        public Variable(string name, string value)
        {
            this.name = name;
            before = Environment.GetEnvironmentVariable(name);
            Environment.SetEnvironmentVariable(name, value);
        }

        public void Dispose() => Environment.SetEnvironmentVariable(name, before);
    }
}
