namespace Hybrid.Toolchain;

/// <summary>The programs of the two planes, built from this clone. Their paths are known before they are built.</summary>
public static class Programs
{
    private static readonly SharedWork<bool> ControlPlaneBuild = new((progress, token) => Setup.GuardAsync(() => RunGoAsync(progress, token)), keep: false);
    private static readonly SharedWork<bool> RustBuild = new((progress, token) => Setup.GuardAsync(() => RunCargoAsync(progress, token)), keep: false);

    /// <summary>
    /// The cargo profile of starts and tests: optimised, but without the minutes of link-time optimisation. HYBRID_RUST_PROFILE
    /// names another, for measuring.
    /// </summary>
    public static string RustProfile { get; } = Environment.GetEnvironmentVariable("HYBRID_RUST_PROFILE") is { Length: > 0 } profile ? profile : "fast";

    public static string ControlPlane { get; } = Path.Combine(Workspace.PrivateFolder, "bin/control-plane");

    public static string DataPlane { get; } = RustProgram("data-plane");

    public static string Metering { get; } = RustProgram("metering");

    public static string Loadgen { get; } = RustProgram("loadgen");

    /// <summary>Where cargo builds to, wherever the crates come from.</summary>
    internal static string RustTarget => Path.Combine(Workspace.PrivateFolder, "target");

    /// <summary>Builds <see cref="ControlPlane"/> if its sources changed. Concurrent callers share one build.</summary>
    /// <exception cref="SetupException">Go is missing, or reported an error; the message carries it.</exception>
    public static Task BuildControlPlaneAsync(Progress progress, CancellationToken cancellationToken = default) =>
        ControlPlaneBuild.GetAsync(progress, cancellationToken);

    /// <summary>Builds all Rust programs of which sources changed. Concurrent callers share one build.</summary>
    /// <exception cref="SetupException">Rust is missing, or reported an error; the message carries it.</exception>
    public static Task BuildRustAsync(Progress progress, CancellationToken cancellationToken = default) => RustBuild.GetAsync(progress, cancellationToken);

    // cargo calls the output folder of its profile `dev` by another name.
    private static string RustProgram(string name) => Path.Combine(RustTarget, RustProfile == "dev" ? "debug" : RustProfile, name);

    private static async Task<bool> RunGoAsync(Progress progress, CancellationToken cancellationToken)
    {
        var go = await Setup.GoAsync(progress, cancellationToken);
        return await progress.StepAsync("Building the control plane (Go)", report => RunAsync(
            go.Program, ["build", "-o", ControlPlane, "./cmd/control-plane"], Workspace.GoModule, go.Environment, report, cancellationToken));
    }

    private static async Task<bool> RunCargoAsync(Progress progress, CancellationToken cancellationToken)
    {
        var rust = await Setup.RustAsync(progress, cancellationToken);
        return await progress.StepAsync("Building the data plane (Rust)", report => RunAsync(
            rust.Program, ["build", "--profile", RustProfile, "--bins"], rust.WorkspaceFolder, rust.Environment, report, cancellationToken));
    }

    private static async Task<bool> RunAsync(
        string program, string[] arguments, string folder, IReadOnlyDictionary<string, string?> environment, Action<string> report,
        CancellationToken cancellationToken)
    {
        var compiled = 0;
        var result = await Subprocess.RunAsync(program, arguments, folder, environment, cancellationToken: cancellationToken, onLine: line =>
        {
            if (line.TrimStart().StartsWith("Compiling", StringComparison.Ordinal))
                report($"{Interlocked.Increment(ref compiled)} crates");
        });
        return result.Succeeded
            ? true
            : throw new SetupException($"{Path.GetFileName(program)} {string.Join(' ', arguments)} failed in {folder}:\n{result.Tail(60)}");
    }
}
