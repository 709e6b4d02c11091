// One topology, one broker, two cores: tests that ran at once would measure each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
