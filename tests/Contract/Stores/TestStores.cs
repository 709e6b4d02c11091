using Hybrid.AppHost.Start;
using Hybrid.Toolchain;
using ContainerEngine = Hybrid.Tests.Harness.ContainerEngine;

namespace Hybrid.Tests.Contract.Stores;

/// <summary>Postgres and Kafka for a system under test: containers where an engine answers, else native servers.</summary>
internal abstract class TestStores : IAsyncDisposable
{
    /// <summary>Demands one of the two: <c>native</c> or <c>containers</c>. Unset or <c>auto</c> leaves the choice to the machine.</summary>
    public const string Variable = "HYBRID_TEST_STORES";

    /// <summary>Connection string of the database.</summary>
    public abstract string Database { get; }

    /// <summary>Bootstrap servers of Kafka.</summary>
    public abstract string Kafka { get; }

    /// <summary>Whether Kafka is only the in-memory stand-in.</summary>
    public virtual bool KafkaIsStandIn => false;

    /// <param name="state">Folder for the data of native servers.</param>
    /// <returns>The stores, not yet started.</returns>
    /// <exception cref="SetupException">Containers are demanded and no engine answers, or the demand is not known.</exception>
    public static async Task<TestStores> ChooseAsync(string state, Ports ports, CancellationToken cancellationToken)
    {
        var demand = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } set ? set : "auto";
        if (demand is not ("auto" or "native" or "containers"))
            throw new SetupException($"{Variable} is {demand}; it must be auto, native or containers.");
        var whyNotContainers = demand == "native" ? $"{Variable} is native" : (await ContainerEngine.FindAsync(cancellationToken)).WhyNot;
        if (demand == "containers" && whyNotContainers.Length > 0)
            throw new SetupException($"{Variable} is containers, but {whyNotContainers}.");
        TestContext.Current.SendDiagnosticMessage(
            whyNotContainers.Length == 0 ? "The stores of these tests are in containers." : $"The stores of these tests are native servers: {whyNotContainers}.");
        return whyNotContainers.Length == 0 ? new ContainerStores() : new NativeStores(state, ports);
    }

    /// <summary>Starts both and waits until they serve. What was started before a failure is ended by disposing.</summary>
    public abstract Task StartAsync(CancellationToken cancellationToken);

    /// <summary>The last lines of <c>postgres</c> or <c>kafka</c>; none for any other name.</summary>
    public abstract Task<IReadOnlyList<string>> LogTailAsync(string server, int lines);

    public abstract ValueTask DisposeAsync();
}
