namespace Hybrid.Lab;

/// <summary>How long a run may measure.</summary>
/// <param name="Rounds">How often each twin is measured; the twins take turns.</param>
/// <param name="Load">How long one load lasts.</param>
/// <param name="WarmUp">How long a load runs before it counts.</param>
/// <param name="Quotes">Requests of a round that is counted in requests.</param>
/// <param name="Events">Events of a round of metering.</param>
/// <param name="Calls">Calls of a round of the cheapest interop path.</param>
/// <param name="Changes">Changed items of a round of convergence.</param>
/// <param name="Builds">Whether builds from nothing are measured, which take minutes.</param>
internal sealed record Effort(string Name, int Rounds, TimeSpan Load, TimeSpan WarmUp, int Quotes, int Events, int Calls, int Changes, bool Builds)
{
    public static Effort Quick { get; } = new("quick", 3, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(0.5), 60_000, 200_000, 200_000, 100, Builds: false);
    public static Effort Full { get; } = new("full", 5, TimeSpan.FromSeconds(6), TimeSpan.FromSeconds(1.5), 300_000, 1_000_000, 1_000_000, 400, Builds: true);
}

/// <summary>A measurement could not be made. The message says why, and what to do.</summary>
internal sealed class LabException(string message) : Exception(message);
