namespace Hybrid.Toolchain;

/// <summary>How a person installs what is missing.</summary>
internal static class Install
{
    public static string Go => OperatingSystem.IsMacOS() ? "Install it: brew install go" : "Install it from go.dev/dl or with your package manager.";

    public static string Rust => OperatingSystem.IsMacOS()
        ? "Install it: brew install rustup && rustup-init"
        : "Install it with rustup (rustup.rs), and a C compiler to link with (apt-get install gcc, dnf install gcc).";

    public static string Postgres => OperatingSystem.IsMacOS()
        ? "Install it: brew install postgresql@17"
        : "Install your system's PostgreSQL server, or set HYBRID_POSTGRES_BIN to the folder of initdb and postgres.";

    public static string Java => OperatingSystem.IsMacOS() ? "Install one: brew install openjdk" : "Install one: apt-get install default-jre-headless, dnf install java-21-openjdk-headless.";

    public static string Kafka =>
        "Unpack Apache Kafka and set HYBRID_KAFKA_HOME (or KAFKA_HOME) to its folder, or install Maven so that the set-up can bring it.";
}
