using System.Globalization;
using System.Text.RegularExpressions;

namespace Hybrid.Toolchain;

/// <summary>How old the machine's programs may be, as the manifests of the two planes state it.</summary>
internal static partial class Versions
{
    public static readonly Version OldestJava = new(17, 0, 0);
    public static Version OldestGo => Stated(Path.Combine(Workspace.GoModule, "go.mod"), "go ");
    public static Version OldestRust => Stated(Path.Combine(Workspace.RustSources, "Cargo.toml"), "rust-version = ");

    /// <summary>Asks a program for its version; null when it is too old, or there is no such program.</summary>
    public static async Task<(string Program, Version Version)?> AskAsync(string? program, string question, Version oldest, CancellationToken cancellationToken)
    {
        if (program is null)
            return null;
        // GOTOOLCHAIN: the version of this Go, and not of one that it would download.
        var answer = await Subprocess.RunAsync(program, [question], environment: [new("GOTOOLCHAIN", "local")], cancellationToken: cancellationToken);
        return In(answer.Output) is { } version && version >= oldest ? (program, version) : null;
    }

    /// <summary>What go.mod, Cargo.toml, go, cargo or java states. It always has three parts, so that 1.26 and 1.26.0 compare as equal.</summary>
    internal static Version? In(string text)
    {
        var match = Statement().Match(text);
        int Part(int group) => match.Groups[group].Success ? int.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture) : 0;
        return match.Success ? new Version(Part(1), Part(2), Part(3)) : null;
    }

    private static Version Stated(string manifest, string beginning) =>
        In(File.ReadLines(manifest).FirstOrDefault(line => line.StartsWith(beginning, StringComparison.Ordinal), ""))
        ?? throw new SetupException($"{manifest} names no oldest version.");

    [GeneratedRegex("""(?:\bgo ?|cargo |version (?:= )?")(\d+)(?:\.(\d+))?(?:\.(\d+))?""")]
    private static partial Regex Statement();
}

/// <summary>How a person installs what is missing.</summary>
internal static class Install
{
    public const string Go = "Install it: brew install go, or go.dev/dl, or your package manager.";
    public const string Rust = "Install it with rustup (rustup.rs), and a C compiler to link with (xcode-select --install, apt-get install gcc, dnf install gcc).";
    public const string Postgres = "Install your system's PostgreSQL server (brew install postgresql@17), or set HYBRID_POSTGRES_BIN to the folder of initdb and postgres.";
    public const string Java = "Install one: brew install openjdk, apt-get install default-jre-headless, dnf install java-21-openjdk-headless.";
    public const string Kafka = "Unpack Apache Kafka and set HYBRID_KAFKA_HOME (or KAFKA_HOME) to its folder, or install Maven so that the set-up can bring it.";
}
