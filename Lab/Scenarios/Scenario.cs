using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;

namespace Hybrid.Lab.Scenarios;

/// <summary>What a scenario measures with, and where it says how far it is.</summary>
/// <param name="Say">Takes one line about the step that begins.</param>
internal sealed record Bench(Effort Effort, Stores Stores, Action<string> Say, CancellationToken CancellationToken);

/// <summary>One question that is answered by measuring.</summary>
internal interface IScenario
{
    string Name { get; }
    string Question { get; }

    /// <summary>What is built before.</summary>
    LabPrograms Needs { get; }

    /// <summary>Whether it can be measured here; if not, why not.</summary>
    string? WhyNot(Effort effort) => null;

    /// <summary>About how long it takes, without what is built or started before.</summary>
    TimeSpan Estimate(Effort effort);

    Task<IReadOnlyList<Measurement>> RunAsync(Bench bench);
}

internal static class ScenarioList
{
    public static IReadOnlyList<IScenario> All { get; } =
    [
        ItemsScenario.Plaintext, ItemsScenario.Json, ItemsScenario.Postgres, ItemsScenario.Sustained,
        new QuoteCpuScenario(), new QuoteRateScenario(), new MeteringScenario(), new InteropScenario(), new ConvergenceScenario(), new BuildScenario(),
    ];
}

internal static class Turns
{
    /// <summary>
    /// The twins in the order of a round: forwards, then backwards, so that what changes slowly on the machine meets all of them alike.
    /// </summary>
    public static IEnumerable<T> Of<T>(IReadOnlyList<T> twins, int round) => round % 2 == 1 ? twins : twins.Reverse();

    /// <summary>Ends servers in the reverse order of their start.</summary>
    public static async Task EndAsync(IEnumerable<Server> servers)
    {
        foreach (var server in servers.Reverse())
            await server.DisposeAsync();
    }
}
