using Hybrid.Tests.Harness;
using Xunit.Sdk;
using Xunit.v3;

// One system, one broker, two cores: tests that ran at once would measure each other, in this project and across projects.
[assembly: Parallelization(Mode = ParallelMode.None)]
[assembly: AssemblyFixture(typeof(MachineTurn))]
