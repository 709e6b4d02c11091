using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Tools;

/// <summary>Registries that did not answer.</summary>
public sealed class RegistryTests : IDisposable
{
    private readonly string registry = "test " + Guid.NewGuid().ToString("N");
    private string RefusalFile => Path.Combine(Workspace.PrivateFolder, "refusals", registry.Replace(' ', '-'));

    public void Dispose() => File.Delete(RefusalFile);

    [Fact]
    public void A_refusal_is_remembered_for_a_day_and_for_the_same_inputs_alone()
    {
        Registry.Remember(registry, "inputs", "connection refused\nby the proxy");
        Assert.Equal("connection refused\nby the proxy", Registry.RecentRefusal(registry, "inputs"));
        Assert.Null(Registry.RecentRefusal(registry, "other inputs"));
        File.SetLastWriteTimeUtc(RefusalFile, DateTime.UtcNow - TimeSpan.FromHours(25));
        Assert.Null(Registry.RecentRefusal(registry, "inputs"));
        // A file that was cut off.
        File.WriteAllText(RefusalFile, "inputs");
        Assert.Null(Registry.RecentRefusal(registry, "inputs"));
    }
}
