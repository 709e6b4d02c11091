using System.Text.RegularExpressions;

namespace Hybrid.Toolchain;

/// <summary>Apache Kafka as jars, and the Java that runs them.</summary>
/// <param name="Libraries">Folder of the jars.</param>
/// <param name="Java">The <c>java</c> command.</param>
public sealed record KafkaDistribution(string Libraries, string Java, string Origin);

internal static partial class KafkaSetup
{
    private const int OldestJava = 17;

    // A repository that does not answer is asked again after a while, not at every start.
    private static readonly TimeSpan RefusalKept = TimeSpan.FromDays(1);
    private static readonly TimeSpan RepositoryPatience = TimeSpan.FromMinutes(3);

    private static readonly string Pom = Path.Combine(Workspace.Root, "eng/kafka/pom.xml");
    private static readonly string PrivateLibraries = Path.Combine(Workspace.PrivateFolder, "kafka/libs");

    /// <returns>The distribution, or null and why there is none.</returns>
    public static async Task<(KafkaDistribution? Kafka, string WhyNot)> EnsureAsync(
        SetupState state, Progress progress, CancellationToken cancellationToken)
    {
        var java = await FindJavaAsync(state, cancellationToken);
        foreach (var variable in (string[])["HYBRID_KAFKA_HOME", "KAFKA_HOME"])
        {
            if (Environment.GetEnvironmentVariable(variable) is not { Length: > 0 } home)
                continue;
            if (FindJars(home) is not { } libraries)
                throw new SetupException($"{variable}={home} holds no Kafka: no libs/kafka-server*.jar or libs/kafka_*.jar there.");
            return java is null
                ? throw new SetupException($"{variable} is set, but there is no Java {OldestJava} or newer to run Kafka. {Install.Java}")
                : (new KafkaDistribution(libraries, java, variable), "");
        }

        if (java is null)
            return (null, $"no Java {OldestJava} or newer. {Install.Java}");
        if (FindJars(Path.GetDirectoryName(PrivateLibraries)!) is { } brought)
            return (new KafkaDistribution(brought, java, "Maven, private folder"), "");
        if (Subprocess.Find("mvn") is not { } maven)
            return (null, $"HYBRID_KAFKA_HOME is not set and there is no Maven to bring Kafka. {Install.Kafka}");

        var inputs = SetupState.Fingerprint([Pom], maven);
        if (state.Get("kafka-refused", inputs, RefusalKept) is { } refused)
            return (null, refused);
        if (await progress.StepAsync("Kafka by Maven", report => BringAsync(maven, report, cancellationToken)) is not { } failure)
            return (new KafkaDistribution(PrivateLibraries, java, "Maven, private folder"), "");
        state.Set("kafka-refused", inputs, failure);
        return (null, failure);
    }

    public static async Task<string?> FindJavaAsync(SetupState state, CancellationToken cancellationToken)
    {
        string?[] candidates =
        [
            Environment.GetEnvironmentVariable("JAVA_HOME") is { Length: > 0 } home ? Path.Combine(home, "bin", OperatingSystem.IsWindows() ? "java.exe" : "java") : null,
            Subprocess.Find("java"),
        ];
        foreach (var java in candidates.OfType<string>().Where(File.Exists))
        {
            // `java -version` takes longer than all other questions together.
            var inputs = SetupState.Fingerprint([], java, File.ResolveLinkTarget(java, returnFinalTarget: true)?.FullName ?? java);
            var version = state.Get("java " + java, inputs);
            if (version is null)
            {
                var answer = await Subprocess.RunAsync(java, ["-version"], cancellationToken: cancellationToken);
                version = JavaVersion().Match(answer.Output) is { Success: true } match ? match.Groups[1].Value : "0";
                state.Set("java " + java, inputs, version);
            }
            if (int.Parse(version, System.Globalization.CultureInfo.InvariantCulture) >= OldestJava)
                return java;
        }
        return null;
    }

    private static string? FindJars(string home) =>
        ((string[])[Path.Combine(home, "libs"), home]).FirstOrDefault(folder =>
            Directory.Exists(folder) && Directory.EnumerateFiles(folder, "kafka*.jar").Any(f => KafkaJar().IsMatch(Path.GetFileName(f))));

    /// <returns>Null when it is there, else why not.</returns>
    private static async Task<string?> BringAsync(string maven, Action<string> report, CancellationToken cancellationToken)
    {
        var draft = PrivateLibraries + ".new";
        var copy = await Subprocess.RunAsync(
            maven, ["-q", "-B", "-f", Pom, "dependency:copy-dependencies", "-DincludeScope=runtime", $"-DoutputDirectory={draft}"],
            timeout: RepositoryPatience, onLine: report, cancellationToken: cancellationToken);
        if (!copy.Succeeded || FindJars(draft) is null)
            return $"Maven's repository does not answer. {Install.Kafka}";
        Directory.Move(draft, PrivateLibraries);
        return null;
    }

    [GeneratedRegex("version \"(\\d+)")]
    private static partial Regex JavaVersion();

    [GeneratedRegex(@"^kafka(-server|_\d)")]
    private static partial Regex KafkaJar();
}
