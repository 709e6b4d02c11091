using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>The container engine that tests use through Testcontainers, and the settings that Testcontainers needs for it.</summary>
/// <param name="WhyNot">Why tests cannot use an engine; empty when one answers.</param>
internal sealed record ContainerEngine(string WhyNot)
{
    /// <summary>Names another image than the pinned public one of PostgreSQL.</summary>
    public const string PostgresImageVariable = "HYBRID_TEST_POSTGRES_IMAGE";

    /// <summary>Names another image than the pinned public one of Kafka.</summary>
    public const string KafkaImageVariable = "HYBRID_TEST_KAFKA_IMAGE";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    public bool Answers => WhyNot.Length == 0;

    /// <summary>The label of every container that tests of this clone start, beside those of Testcontainers.</summary>
    public static (string Name, string Value) Label { get; } = ("hybrid.tests.clone", Workspace.Root);

    public static string PostgresImage => Named(PostgresImageVariable) ?? "postgres:17.6";
    public static string KafkaImage => Named(KafkaImageVariable) ?? "apache/kafka:4.1.1";

    /// <summary>Asks for an engine, and sets what Testcontainers reads from the environment before its first use.</summary>
    public static async Task<ContainerEngine> FindAsync(CancellationToken cancellationToken)
    {
        var version = await Subprocess.RunAsync(
            "docker", ["version", "--format", "{{.Server.APIVersion}}"], timeout: TimeSpan.FromSeconds(10), cancellationToken: cancellationToken);
        if (!version.Succeeded || !Version.TryParse(version.Output.Trim(), out var newest))
            return new ContainerEngine($"docker does not answer: {version.Tail(1).Trim()}");

        // Older than the version of the API that Testcontainers asks for by itself.
        if (newest <= new Version(1, 43))
            SetDefault("DOCKER_API_VERSION", newest.ToString());
        // Where images are named, the public ones cannot be counted on, and the one that removes leftovers is public.
        if ((Named(PostgresImageVariable) ?? Named(KafkaImageVariable)) is not null
            && (await RunAsync(cancellationToken, "image", "ls", "--quiet", "testcontainers/ryuk")).Output.Trim().Length == 0)
            SetDefault("TESTCONTAINERS_RYUK_DISABLED", "true");
        return new ContainerEngine("");
    }

    /// <summary>Makes sure that the engine has an image.</summary>
    /// <exception cref="SetupException">The image is not there and cannot be pulled.</exception>
    public static async Task PullAsync(string image, string variable, CancellationToken cancellationToken)
    {
        if (!(await RunAsync(cancellationToken, "image", "inspect", image)).Succeeded)
        {
            await DemandAsync(
                $"The container engine answers, but the image {image} is not there and cannot be pulled. {variable} names another.",
                cancellationToken, "pull", image);
        }
    }

    /// <summary>Removes the containers that earlier tests of this clone left when they were killed.</summary>
    public static async Task RemoveLeftoversAsync(CancellationToken cancellationToken)
    {
        var listing = await DemandAsync(
            "The containers of earlier tests cannot be listed:", cancellationToken,
            "ps", "--all", "--quiet", "--filter", "label=org.testcontainers=true", "--filter", $"label={Label.Name}={Label.Value}");
        var containers = listing.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (containers.Length > 0)
            await DemandAsync("The containers of earlier tests cannot be removed:", cancellationToken, ["rm", "--force", "--volumes", .. containers]);
    }

    private static async Task<string> DemandAsync(string failure, CancellationToken cancellationToken, params string[] arguments)
    {
        var result = await RunAsync(cancellationToken, arguments);
        return result.Succeeded ? result.Output : throw new SetupException($"{failure} {result.Tail(3)}");
    }

    private static Task<SubprocessResult> RunAsync(CancellationToken cancellationToken, params string[] arguments) =>
        Subprocess.RunAsync("docker", arguments, timeout: Patience, cancellationToken: cancellationToken);

    private static string? Named(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } image ? image : null;

    private static void SetDefault(string variable, string value) => Environment.SetEnvironmentVariable(variable, Named(variable) ?? value);
}
