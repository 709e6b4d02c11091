namespace Hybrid.Toolchain;

/// <summary>Apache Kafka as jars, and the Java that runs them.</summary>
/// <param name="Libraries">Folder of the jars.</param>
/// <param name="Java">The <c>java</c> command.</param>
/// <param name="Origin">Where the jars come from, for people.</param>
public sealed record KafkaDistribution(string Libraries, string Java, string Origin);

/// <param name="Distribution">Null when there is none.</param>
/// <param name="WhyNot">Why there is none, and what to do; empty when there is one.</param>
public sealed record KafkaChoice(KafkaDistribution? Distribution, string WhyNot = "");

internal static class KafkaSetup
{
    private const string Maven = "Maven repository";
    private static readonly string Pom = Path.Combine(Workspace.Root, "eng/kafka/pom.xml");
    private static readonly string Brought = Path.Combine(Workspace.PrivateFolder, "kafka");

    public static async Task<KafkaChoice> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        try
        {
            await progress.StepAsync("Kafka by Maven", report => StampedFolder.EnsureAsync(Brought, StampedFolder.Fingerprint([Pom]), async draft =>
            {
                report("asking Maven's repository");
                var copy = await Subprocess.RunAsync(
                    "mvn", ["-q", "-B", "-f", Pom, "dependency:copy-dependencies", "-DincludeScope=runtime", $"-DoutputDirectory={draft}"],
                    timeout: TimeSpan.FromMinutes(3), cancellationToken: cancellationToken);
                if (!copy.Succeeded || FindJars(draft) is null)
                    throw new SetupException($"Maven's repository does not answer. {Install.Kafka}");
            }));
            return (await KnownAsync(cancellationToken))!;
        }
        catch (SetupException e)
        {
            Registry.Remember(Maven, StampedFolder.Fingerprint([Pom]), e.Message);
            return new KafkaChoice(null, e.Message);
        }
    }

    /// <returns>Null when only Maven's repository can tell.</returns>
    public static async Task<KafkaChoice?> KnownAsync(CancellationToken cancellationToken)
    {
        var javaHome = Environment.GetEnvironmentVariable("JAVA_HOME") is { Length: > 0 } named ? Path.Combine(named, "bin/java") : null;
        var java = (await Versions.AskAsync(javaHome, "-version", Versions.OldestJava, cancellationToken)
            ?? await Versions.AskAsync(Subprocess.Find("java"), "-version", Versions.OldestJava, cancellationToken))?.Program;
        string[] variables = ["HYBRID_KAFKA_HOME", "KAFKA_HOME"];
        if (variables.FirstOrDefault(v => Environment.GetEnvironmentVariable(v) is { Length: > 0 }) is { } variable)
        {
            var home = Environment.GetEnvironmentVariable(variable)!;
            var libraries = FindJars(home)
                ?? throw new SetupException($"{variable}={home} holds no Kafka: no libs/kafka-server*.jar or libs/kafka_*.jar there.");
            return java is null
                ? throw new SetupException($"{variable} is set, but there is no Java {Versions.OldestJava.Major} or newer to run Kafka. {Install.Java}")
                : new KafkaChoice(new KafkaDistribution(libraries, java, variable));
        }
        if (java is null)
            return new KafkaChoice(null, $"There is no Java {Versions.OldestJava.Major} or newer. {Install.Java}");
        var inputs = StampedFolder.Fingerprint([Pom]);
        if (StampedFolder.StampOf(Brought) == inputs)
            return new KafkaChoice(new KafkaDistribution(Brought, java, "Maven"));
        if (Subprocess.Find("mvn") is null)
            return new KafkaChoice(null, $"HYBRID_KAFKA_HOME is not set, and there is no Maven to bring Kafka. {Install.Kafka}");
        return Registry.RecentRefusal(Maven, inputs) is { } reason ? new KafkaChoice(null, reason) : null;
    }

    private static string? FindJars(string home) =>
        ((string[])[Path.Combine(home, "libs"), home]).FirstOrDefault(folder =>
            Directory.Exists(folder) && ((string[])["kafka-server*.jar", "kafka_*.jar"]).Any(jar => Directory.EnumerateFiles(folder, jar).Any()));
}
