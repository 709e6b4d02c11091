namespace Hybrid.Toolchain;

/// <summary>How a person installs what is missing, on each system.</summary>
internal static class Install
{
    public static string Go => For(
        linux: "Install it from go.dev/dl or with your package manager",
        macOS: "brew install go",
        windows: "winget install GoLang.Go");

    public static string Rust => For(
        linux: "Install it with rustup (rustup.rs)",
        macOS: "brew install rustup && rustup-init",
        windows: "winget install Rustlang.Rustup, with the Visual Studio C++ build tools");

    public static string Postgres => For(
        linux: "apt-get install postgresql, or set HYBRID_POSTGRES_BIN to the folder of initdb and postgres",
        macOS: "brew install postgresql@17",
        windows: "winget install PostgreSQL.PostgreSQL.17, or set HYBRID_POSTGRES_BIN to the folder of initdb.exe");

    public static string Java => For(
        linux: "apt-get install default-jre-headless",
        macOS: "brew install openjdk",
        windows: "winget install EclipseAdoptium.Temurin.21.JRE");

    public static string Kafka =>
        "Unpack Apache Kafka and set HYBRID_KAFKA_HOME (or KAFKA_HOME) to its folder, or install Maven and let the set-up bring it";

    private static string For(string linux, string macOS, string windows) =>
        OperatingSystem.IsWindows() ? windows : OperatingSystem.IsMacOS() ? macOS : linux;
}
