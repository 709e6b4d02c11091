using Hybrid.AppHost.Start;
using Hybrid.Toolchain;
using ContainerEngine = Hybrid.Tests.Harness.ContainerEngine;

namespace Hybrid.Tests.Contract.Stores;

/// <summary>Where the stores of the tests come from: containers where an engine answers, else native servers.</summary>
internal static class StoreChoice
{
    /// <summary>Demands one of the two: <c>native</c> or <c>containers</c>. Unset or <c>auto</c> leaves the choice to the machine.</summary>
    public const string Variable = "HYBRID_TEST_STORES";

    /// <param name="state">Folder for the data of native servers.</param>
    /// <returns>The stores, not yet started, and why they are not in containers; empty when they are.</returns>
    /// <exception cref="SetupException">Containers are demanded and no engine answers, or the demand is not known.</exception>
    public static async Task<(IStores Stores, string WhyNotContainers)> ChooseAsync(string state, Ports ports, CancellationToken cancellationToken)
    {
        switch (Environment.GetEnvironmentVariable(Variable))
        {
            case "native":
                return (new NativeStores(state, ports), $"{Variable} is native");
            case "containers":
                var demanded = await ContainerEngine.FindAsync(cancellationToken);
                return demanded.Answers ? (new ContainerStores(), "") : throw new SetupException($"{Variable} is containers, but {demanded.WhyNot}.");
            case null or "" or "auto":
                var engine = await ContainerEngine.FindAsync(cancellationToken);
                return engine.Answers ? (new ContainerStores(), "") : (new NativeStores(state, ports), engine.WhyNot);
            case var other:
                throw new SetupException($"{Variable} is {other}; it must be auto, native or containers.");
        }
    }
}
