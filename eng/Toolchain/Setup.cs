namespace Hybrid.Toolchain;

/// <summary>What this clone builds with and runs on.</summary>
/// <param name="Postgres">Null when the machine has no server and none could be brought.</param>
public sealed record ToolSet(GoTools Go, RustTools Rust, PostgresBinaries? Postgres, KafkaChoice Kafka);

/// <summary>
/// Finds what the machine has and brings what is missing into <see cref="Workspace.PrivateFolder"/>. Every piece can be asked
/// for alone, and is found once per process; all members are safe to call from any thread. Where the folder cannot be written,
/// the exception of the file system names the place.
/// </summary>
public static class Setup
{
    private static readonly Piece<GoTools> Go = new(GoSetup.EnsureAsync);
    private static readonly Piece<RustTools> Rust = new(RustSetup.EnsureAsync);
    private static readonly Piece<PostgresBinaries?> Postgres = new(PostgresSetup.EnsureAsync);
    private static readonly Piece<KafkaChoice> Kafka = new(KafkaSetup.EnsureAsync);

    /// <exception cref="SetupException">Go is missing and cannot be brought, or neither are its libraries.</exception>
    public static Task<GoTools> GoAsync(Progress progress, CancellationToken cancellationToken = default) => Go.GetAsync(progress, cancellationToken);

    /// <exception cref="SetupException">Rust is missing, or its crates cannot be brought.</exception>
    public static Task<RustTools> RustAsync(Progress progress, CancellationToken cancellationToken = default) => Rust.GetAsync(progress, cancellationToken);

    /// <returns>Null when the machine has no server and none could be brought.</returns>
    // What is on the machine need not wait for another piece's download.
    public static async Task<PostgresBinaries?> PostgresAsync(Progress progress, CancellationToken cancellationToken = default) =>
        PostgresSetup.FindOnMachine() ?? await Postgres.GetAsync(progress, cancellationToken);

    /// <exception cref="SetupException">HYBRID_KAFKA_HOME or KAFKA_HOME is set, but Kafka cannot run from there.</exception>
    public static async Task<KafkaChoice> KafkaAsync(Progress progress, CancellationToken cancellationToken = default) =>
        await KafkaSetup.KnownAsync(cancellationToken) ?? await Kafka.GetAsync(progress, cancellationToken);

    /// <summary>All pieces, one after the other.</summary>
    /// <exception cref="SetupException">Something is missing that cannot be brought.</exception>
    public static async Task<ToolSet> RunAsync(Progress progress, CancellationToken cancellationToken = default) => new(
        await GoAsync(progress, cancellationToken), await RustAsync(progress, cancellationToken),
        await PostgresAsync(progress, cancellationToken), await KafkaAsync(progress, cancellationToken));

    /// <summary>One piece. Who asks while it is being brought waits, and brings it where the first one failed or was cancelled.</summary>
    private sealed class Piece<T>(Func<Progress, CancellationToken, Task<T>> ensure)
    {
        private Task<T>? done;

        public Task<T> GetAsync(Progress progress, CancellationToken cancellationToken) => done ?? SetupLock.HoldAsync(
            async () => await (done ??= Task.FromResult(await ensure(progress, cancellationToken))), progress, cancellationToken);
    }
}
