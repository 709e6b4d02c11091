namespace Hybrid.Toolchain;

/// <summary>The programs of the two planes, and the Lab's, built from this clone. Their paths are known before they are built.</summary>
public static class Programs
{
    /// <summary>
    /// The cargo profile of starts and tests: optimised, but without the minutes of link-time optimisation. HYBRID_RUST_PROFILE
    /// names another, for measuring.
    /// </summary>
    public static string RustProfile { get; } = Environment.GetEnvironmentVariable("HYBRID_RUST_PROFILE") is { Length: > 0 } profile ? profile : "fast";

    /// <summary>The load generator.</summary>
    public static string Loadgen { get; } = Rust("loadgen");

    /// <summary>librdkafka's mock cluster, for where there is no Kafka. It is started with its port.</summary>
    public static string KafkaStandIn { get; } = Rust("kafka-stand-in");

    /// <summary>Path of the program of a Go package, named by its last element.</summary>
    public static string Go(string package) => Path.Combine(Workspace.PrivateFolder, "bin", Path.GetFileName(package));

    /// <summary>Path of a binary of the cargo workspace.</summary>
    public static string Rust(string binary) => Rust(binary, RustProfile);

    /// <summary>Path of a binary of the cargo workspace that is built with a given profile.</summary>
    // cargo calls the output folder of its profile `dev` by another name.
    public static string Rust(string binary, string profile) => Path.Combine(RustTarget, profile == "dev" ? "debug" : profile, binary);

    /// <summary>Where cargo builds to, wherever the crates come from.</summary>
    internal static string RustTarget => Path.Combine(Workspace.PrivateFolder, "target");

    /// <summary>Builds the program of a Go package if its sources changed.</summary>
    /// <param name="module">Folder of <c>go.mod</c>.</param>
    /// <param name="package">The package with <c>main</c>, relative to the module.</param>
    /// <param name="variables">More of the compiler's environment.</param>
    /// <exception cref="SetupException">Go is missing, or reported an error; the message carries it.</exception>
    public static async Task BuildGoAsync(
        string module, string package, Progress progress, CancellationToken cancellationToken = default, params KeyValuePair<string, string?>[] variables)
    {
        var go = await Setup.GoAsync(progress, cancellationToken);
        await progress.StepAsync($"Building {Path.GetFileName(package)} (Go)", report => RunAsync(
            go.Program, ["build", "-o", Go(package), package], module, new Dictionary<string, string?>(go.Environment.Concat(variables)), report, cancellationToken));
    }

    /// <summary>What cgo needs to link a library of the cargo workspace, and the program to find it.</summary>
    public static KeyValuePair<string, string?> CgoLinks()
    {
        var folder = Path.GetDirectoryName(Rust("any"));
        return new("CGO_LDFLAGS", $"-L{folder} -Wl,-rpath,{folder}");
    }

    /// <summary>
    /// Builds all Rust programs of the product of which sources changed. Concurrent builds wait for each other, by cargo's own lock.
    /// </summary>
    /// <exception cref="SetupException">Rust is missing, or reported an error; the message carries it.</exception>
    public static Task BuildRustAsync(Progress progress, CancellationToken cancellationToken = default) =>
        CargoBuildAsync("Building the data plane (Rust)", [], RustProfile, progress, cancellationToken);

    /// <summary>Builds the binaries and libraries of given packages of the cargo workspace, such as the twins, which <see cref="BuildRustAsync(Progress, CancellationToken)"/> leaves out.</summary>
    /// <param name="profile">The cargo profile; null for <see cref="RustProfile"/>.</param>
    /// <exception cref="SetupException">Rust is missing, or reported an error; the message carries it.</exception>
    public static Task BuildRustAsync(
        IReadOnlyList<string> packages, Progress progress, string? profile = null, CancellationToken cancellationToken = default) =>
        CargoBuildAsync($"Building {string.Join(", ", packages)} (Rust)", packages, profile ?? RustProfile, progress, cancellationToken);

    private static async Task CargoBuildAsync(
        string step, IReadOnlyList<string> packages, string profile, Progress progress, CancellationToken cancellationToken)
    {
        var rust = await Setup.RustAsync(progress, cancellationToken);
        // Of a package that is named the library is wanted too, which other languages may load.
        string[] arguments = ["build", "--profile", profile, .. packages.Count == 0 ? (string[])["--bins"] : [.. packages.SelectMany(package => (string[])["--package", package])]];
        await progress.StepAsync(step, report => RunAsync(
            rust.Program, arguments, rust.WorkspaceFolder, rust.Environment, report, cancellationToken));
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
        result.ThrowIfFailed($"{Path.GetFileName(program)} {string.Join(' ', arguments)} failed in {folder}:", lines: 60);
        return true;
    }
}
