namespace Hybrid.Toolchain;

/// <summary>The programs of the two planes, built from this clone.</summary>
/// <param name="ControlPlane">Go.</param>
/// <param name="DataPlane">Rust.</param>
/// <param name="Metering">Rust.</param>
public sealed record Programs(string ControlPlane, string DataPlane, string Metering)
{
    /// <summary>Builds what changed. Without changes it takes about a second.</summary>
    /// <exception cref="SetupException">A compiler reported an error; the message carries it.</exception>
    public static async Task<Programs> BuildAsync(ToolSet tools, Progress progress, CancellationToken cancellationToken = default)
    {
        var output = Path.Combine(Workspace.PrivateFolder, "bin");
        Directory.CreateDirectory(output);
        var controlPlane = Path.Combine(output, Executable("control-plane"));
        await progress.StepAsync("Building the control plane (Go)", report => RunAsync(
            tools.Go.Program, ["build", "-o", controlPlane, "./cmd/control-plane"], Workspace.GoModule, tools.Go.Environment, report, cancellationToken));
        await progress.StepAsync("Building the data plane (Rust)", report => RunAsync(
            tools.Rust.Program, ["build", "--profile", RustProfile, "--bins"], tools.Rust.WorkspaceFolder, tools.Rust.Environment, report, cancellationToken));
        var rust = Path.Combine(tools.Rust.TargetFolder, RustProfile);
        return new Programs(controlPlane, Path.Combine(rust, Executable("data-plane")), Path.Combine(rust, Executable("metering")));
    }

    /// <summary>
    /// The cargo profile of starts and tests: optimised, but without the minutes of link-time optimisation. HYBRID_RUST_PROFILE
    /// names another, for measuring.
    /// </summary>
    public static string RustProfile { get; } = Environment.GetEnvironmentVariable("HYBRID_RUST_PROFILE") is { Length: > 0 } profile ? profile : "fast";

    private static string Executable(string name) => OperatingSystem.IsWindows() ? name + ".exe" : name;

    private static async Task<bool> RunAsync(
        string program, IEnumerable<string> arguments, string folder, IReadOnlyDictionary<string, string?> environment, Action<string> report,
        CancellationToken cancellationToken)
    {
        var compiled = 0;
        var result = await Subprocess.RunAsync(program, arguments, folder, environment, onLine: line =>
        {
            if (line.TrimStart().StartsWith("Compiling", StringComparison.Ordinal))
                report($"{Interlocked.Increment(ref compiled)} crates");
        }, cancellationToken: cancellationToken);
        return result.Succeeded
            ? true
            : throw new SetupException($"{Path.GetFileName(program)} {string.Join(' ', arguments)} failed in {folder}:\n{result.Tail(60)}");
    }
}
