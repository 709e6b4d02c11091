using System.Text.RegularExpressions;

namespace Hybrid.Toolchain;

/// <summary>Apache Kafka as jars, and the Java that runs them.</summary>
/// <param name="Libraries">Folder of the jars.</param>
/// <param name="Java">The <c>java</c> command.</param>
/// <param name="Origin">Where the jars come from, for people.</param>
public sealed record KafkaDistribution(string Libraries, string Java, string Origin);

/// <param name="Distribution">Null when there is none.</param>
/// <param name="WhyNot">Why there is none, and what to do; empty when there is one.</param>
public sealed record KafkaChoice(KafkaDistribution? Distribution, string WhyNot = "");

internal static partial class KafkaSetup
{
    public const int OldestJava = 17;

    private static readonly TimeSpan RepositoryPatience = TimeSpan.FromMinutes(3);

    private static readonly string Pom = Path.Combine(Workspace.Root, "eng/kafka/pom.xml");
    private static readonly string Brought = Path.Combine(Workspace.PrivateFolder, "kafka");

    public static async Task<KafkaChoice> EnsureAsync(Progress progress, CancellationToken cancellationToken)
    {
        if (await KnownAsync(cancellationToken) is { } known)
            return known;
        try
        {
            var libraries = await progress.StepAsync("Kafka by Maven", report => BringAsync(report, cancellationToken));
            return new KafkaChoice(new KafkaDistribution(libraries, (await FindJavaAsync(cancellationToken))!, "Maven"));
        }
        catch (SetupException e)
        {
            Registry.Remember("Maven repository", StampedFolder.Fingerprint([Pom]), e.Message);
            return new KafkaChoice(null, e.Message);
        }
    }

    /// <returns>Null when only Maven's repository can tell.</returns>
    public static async Task<KafkaChoice?> KnownAsync(CancellationToken cancellationToken)
    {
        var java = await FindJavaAsync(cancellationToken);
        foreach (var variable in (string[])["HYBRID_KAFKA_HOME", "KAFKA_HOME"])
        {
            if (Environment.GetEnvironmentVariable(variable) is not { Length: > 0 } home)
                continue;
            if (FindJars(home) is not { } libraries)
                throw new SetupException($"{variable}={home} holds no Kafka: no libs/kafka-server*.jar or libs/kafka_*.jar there.");
            return java is null
                ? throw new SetupException($"{variable} is set, but there is no Java {OldestJava} or newer to run Kafka. {Install.Java}")
                : new KafkaChoice(new KafkaDistribution(libraries, java, variable));
        }

        if (java is null)
            return new KafkaChoice(null, $"There is no Java {OldestJava} or newer. {Install.Java}");
        var inputs = StampedFolder.Fingerprint([Pom]);
        if (StampedFolder.StampOf(Brought) == inputs)
            return new KafkaChoice(new KafkaDistribution(Brought, java, "Maven"));
        if (Subprocess.Find("mvn") is null)
            return new KafkaChoice(null, $"HYBRID_KAFKA_HOME is not set, and there is no Maven to bring Kafka. {Install.Kafka}");
        return Registry.RecentRefusal("Maven repository", inputs) is { } reason ? new KafkaChoice(null, reason) : null;
    }

    /// <returns>A Java on this machine that is new enough, or null.</returns>
    private static async Task<string?> FindJavaAsync(CancellationToken cancellationToken)
    {
        string?[] candidates =
        [
            Environment.GetEnvironmentVariable("JAVA_HOME") is { Length: > 0 } home ? Path.Combine(home, "bin/java") : null,
            Subprocess.Find("java"),
        ];
        foreach (var java in candidates.OfType<string>().Where(Subprocess.IsThere))
        {
            // A Java states its version in a file, which is read much faster than Java starts.
            var program = File.ResolveLinkTarget(java, returnFinalTarget: true)?.FullName ?? java;
            var release = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(program)!, "../release"));
            var text = File.Exists(release)
                ? await File.ReadAllTextAsync(release, cancellationToken)
                : (await Subprocess.RunAsync(java, ["-version"], cancellationToken: cancellationToken)).Output;
            if (JavaVersion().Match(text) is { Success: true } match && int.Parse(match.Groups[1].Value) >= OldestJava)
                return java;
        }
        return null;
    }

    private static string? FindJars(string home) =>
        ((string[])[Path.Combine(home, "libs"), home]).FirstOrDefault(folder =>
            Directory.Exists(folder) && Directory.EnumerateFiles(folder, "kafka*.jar").Any(f => KafkaJar().IsMatch(Path.GetFileName(f))));

    private static Task<string> BringAsync(Action<string> report, CancellationToken cancellationToken) =>
        StampedFolder.EnsureAsync(Brought, StampedFolder.Fingerprint([Pom]), async draft =>
        {
            report("asking Maven's repository");
            var copy = await Subprocess.RunAsync(
                "mvn", ["-q", "-B", "-f", Pom, "dependency:copy-dependencies", "-DincludeScope=runtime", $"-DoutputDirectory={draft}"],
                timeout: RepositoryPatience, cancellationToken: cancellationToken);
            if (!copy.Succeeded || FindJars(draft) is null)
                throw new SetupException($"Maven's repository does not answer. {Install.Kafka}");
        });

    [GeneratedRegex("version[ =]\"(\\d+)", RegexOptions.IgnoreCase)]
    private static partial Regex JavaVersion();

    [GeneratedRegex(@"^kafka(-server|_\d)")]
    private static partial Regex KafkaJar();
}
