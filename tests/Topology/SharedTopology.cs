namespace Hybrid.Tests.Topology;

/// <summary>The collection of all tests that share one running topology.</summary>
[CollectionDefinition(Name)]
public sealed class SharedTopology : ICollectionFixture<RunningTopology>
{
    public const string Name = "topology";
}
