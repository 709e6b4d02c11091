using Xunit.Sdk;
using Xunit.v3;

// One topology, one broker, two cores: tests that ran at once would measure each other.
[assembly: Parallelization(Mode = ParallelMode.None)]
