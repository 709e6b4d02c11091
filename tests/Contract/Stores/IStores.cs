namespace Hybrid.Tests.Contract.Stores;

/// <summary>Postgres and Kafka for a system under test.</summary>
internal interface IStores : IAsyncDisposable
{
    /// <summary>What they are, for people.</summary>
    string Description { get; }

    bool InContainers { get; }

    /// <summary>Connection string of the database.</summary>
    string Database { get; }

    /// <summary>Bootstrap servers of Kafka.</summary>
    string Kafka { get; }

    /// <summary>Whether Kafka is only the in-memory stand-in.</summary>
    bool KafkaIsStandIn { get; }

    /// <summary>Starts both and waits until they serve. What was started before a failure is ended by disposing.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>The last lines of <c>postgres</c> or <c>kafka</c>; none for any other name.</summary>
    Task<IReadOnlyList<string>> LogTailAsync(string server, int lines);
}
