using Hybrid.Tests.Harness;
using Xunit.Sdk;
using Xunit.v3;

// One topology, one broker, two cores: tests that ran at once would measure each other, in this project and across projects.
[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: AssemblyFixture(typeof(MachineTurn))]

namespace Hybrid.Tests.Topology;

/// <summary>All tests that need the topology share one; it starts when the first of them runs.</summary>
[CollectionDefinition(TopologyTest.Collection)]
public sealed class SharedTopology : ICollectionFixture<RunningTopology>;
