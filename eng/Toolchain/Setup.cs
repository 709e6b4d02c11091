namespace Hybrid.Toolchain;

/// <summary>What this clone builds with and runs on.</summary>
/// <param name="Postgres">Null when the machine has no server and none could be brought.</param>
public sealed record ToolSet(GoTools Go, RustTools Rust, PostgresBinaries? Postgres, KafkaChoice Kafka);

/// <summary>
/// Finds what the machine has and brings what is missing into <see cref="Workspace.PrivateFolder"/>. Every piece can be asked
/// for alone. Each is found once per process and shared by concurrent callers; all members are safe to call from any thread.
/// </summary>
public static class Setup
{
    private static readonly SharedWork<GoTools> Go = Piece(GoSetup.EnsureAsync);
    private static readonly SharedWork<RustTools> Rust = Piece(RustSetup.EnsureAsync);
    private static readonly SharedWork<PostgresBinaries?> Postgres = Piece<PostgresBinaries?>(PostgresSetup.EnsureAsync, _ => Task.FromResult(PostgresSetup.FindOnMachine()));
    private static readonly SharedWork<KafkaChoice> Kafka = Piece(KafkaSetup.EnsureAsync, KafkaSetup.KnownAsync);

    /// <exception cref="SetupException">Go is missing and cannot be brought, or neither are its libraries.</exception>
    public static Task<GoTools> GoAsync(Progress progress, CancellationToken cancellationToken = default) => Go.GetAsync(progress, cancellationToken);

    /// <exception cref="SetupException">Rust is missing, or its crates cannot be brought.</exception>
    public static Task<RustTools> RustAsync(Progress progress, CancellationToken cancellationToken = default) => Rust.GetAsync(progress, cancellationToken);

    /// <returns>Null when the machine has no server and none could be brought.</returns>
    /// <exception cref="SetupException">The private folder cannot be written.</exception>
    public static Task<PostgresBinaries?> PostgresAsync(Progress progress, CancellationToken cancellationToken = default) =>
        Postgres.GetAsync(progress, cancellationToken);

    /// <exception cref="SetupException">HYBRID_KAFKA_HOME or KAFKA_HOME is set, but Kafka cannot run from there.</exception>
    public static Task<KafkaChoice> KafkaAsync(Progress progress, CancellationToken cancellationToken = default) => Kafka.GetAsync(progress, cancellationToken);

    /// <summary>All pieces, one after the other.</summary>
    /// <exception cref="SetupException">Something is missing that cannot be brought.</exception>
    public static async Task<ToolSet> RunAsync(Progress progress, CancellationToken cancellationToken = default) => new(
        await GoAsync(progress, cancellationToken), await RustAsync(progress, cancellationToken),
        await PostgresAsync(progress, cancellationToken), await KafkaAsync(progress, cancellationToken));

    /// <param name="known">Answers at once where nothing has to be brought, so that it need not wait for another piece's download.</param>
    private static SharedWork<T> Piece<T>(Func<Progress, CancellationToken, Task<T>> ensure, Func<CancellationToken, Task<T?>>? known = null) => new(
        (progress, token) => GuardAsync(async () =>
            known is not null && await known(token) is { } answer ? answer : await SetupLock.HoldAsync(() => ensure(progress, token), progress, token)),
        keep: true);

    /// <summary>Turns failures of the file system, a child's too, into a message that names the place.</summary>
    internal static async Task<T> GuardAsync<T>(Func<Task<T>> action)
    {
        try
        {
            return await action();
        }
        catch (SetupException e) when (e.InnerException is null && e.Message.Contains("No space left", StringComparison.Ordinal))
        {
            throw new SetupException($"The disk of {Workspace.PrivateFolder} is full.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SetupException($"The set-up needs space in {Workspace.PrivateFolder}, and the right to write there: {e.Message}", e);
        }
    }
}
