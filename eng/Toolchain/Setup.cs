namespace Hybrid.Toolchain;

/// <summary>What this clone builds with and runs on.</summary>
/// <param name="Postgres">Null when the machine has no server and none could be brought.</param>
/// <param name="Kafka">Null when there is none.</param>
/// <param name="WhyNoKafka">Why <paramref name="Kafka"/> is null, and what to do.</param>
public sealed record ToolSet(GoTools Go, RustTools Rust, PostgresBinaries? Postgres, KafkaDistribution? Kafka, string WhyNoKafka);

/// <summary>
/// The one set-up. It finds what the machine has, brings what is missing into the private folder, and remembers the answers,
/// so that a second run costs next to nothing and needs no network.
/// </summary>
public static class Setup
{
    /// <exception cref="SetupException">Something is missing that cannot be brought; the message says what to do.</exception>
    public static async Task<ToolSet> RunAsync(Progress progress, CancellationToken cancellationToken = default)
    {
        Directory.CreateDirectory(Workspace.PrivateFolder);
        using var turn = await TakeTurnAsync(progress, cancellationToken);
        var state = new SetupState(Workspace.PrivateFolder);
        var go = await GoSetup.EnsureAsync(state, progress, cancellationToken);
        var rust = await RustSetup.EnsureAsync(state, progress, cancellationToken);
        var postgres = await PostgresSetup.EnsureAsync(progress, cancellationToken);
        var (kafka, whyNoKafka) = await KafkaSetup.EnsureAsync(state, progress, cancellationToken);
        return new ToolSet(go, rust, postgres, kafka, whyNoKafka);
    }

    /// <summary>Two runs at once (a test and an AppHost) would step on each other; the second waits.</summary>
    private static async Task<FileStream> TakeTurnAsync(Progress progress, CancellationToken cancellationToken)
    {
        var path = Path.Combine(Workspace.PrivateFolder, "lock");
        for (var first = true; ; first = false)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                if (first)
                    progress.Say("another set-up of this clone is running; waiting for it");
                await Task.Delay(TimeSpan.FromMilliseconds(200), cancellationToken);
            }
        }
    }
}
