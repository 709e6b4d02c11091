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

    private const string Docker = "docker";
    private const string Reaper = "testcontainers/ryuk";
    private const string ApiVersion = "DOCKER_API_VERSION";
    private const string ReaperDisabled = "TESTCONTAINERS_RYUK_DISABLED";

    /// <summary>Older than the version of the API that Testcontainers asks for by itself.</summary>
    private static readonly Version OldApi = new(1, 43);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PullPatience = TimeSpan.FromMinutes(5);

    public bool Answers => WhyNot.Length == 0;

    /// <summary>The label of every container that tests of this clone start, beside those of Testcontainers.</summary>
    public static (string Name, string Value) Label { get; } = ("hybrid.tests.clone", Workspace.Root);

    public static string PostgresImage => Named(PostgresImageVariable) ?? "postgres:17.6";

    public static string KafkaImage => Named(KafkaImageVariable) ?? "apache/kafka:4.1.1";

    /// <summary>Asks for an engine, and sets what Testcontainers reads from the environment before its first use.</summary>
    public static async Task<ContainerEngine> FindAsync(CancellationToken cancellationToken)
    {
        if (Subprocess.Find(Docker) is null)
            return new ContainerEngine("docker is not on the PATH");
        var version = await RunAsync(Patience, cancellationToken, "version", "--format", "{{.Server.APIVersion}}");
        if (!version.Succeeded || !Version.TryParse(version.Output.Trim(), out var newest))
            return new ContainerEngine($"docker does not answer: {version.Tail(1).Trim()}");

        if (newest <= OldApi)
            SetDefault(ApiVersion, newest.ToString());
        // Where images are named, the public ones cannot be counted on, and the one that removes leftovers is public.
        var imagesAreNamed = Named(PostgresImageVariable) is not null || Named(KafkaImageVariable) is not null;
        if (imagesAreNamed && (await RunAsync(Patience, cancellationToken, "image", "ls", "--quiet", Reaper)).Output.Trim().Length == 0)
            SetDefault(ReaperDisabled, "true");
        return new ContainerEngine("");
    }

    /// <summary>Makes sure that the engine has an image.</summary>
    /// <exception cref="SetupException">The image is not there and cannot be pulled.</exception>
    public static async Task PullAsync(string image, string variable, CancellationToken cancellationToken)
    {
        if ((await RunAsync(Patience, cancellationToken, "image", "inspect", image)).Succeeded)
            return;
        var pull = await RunAsync(PullPatience, cancellationToken, "pull", image);
        if (!pull.Succeeded)
            throw new SetupException($"The container engine answers, but the image {image} is not there and cannot be pulled. {variable} names another. {pull.Tail(3)}");
    }

    /// <summary>Removes the containers that earlier tests of this clone left when they were killed.</summary>
    public static async Task RemoveLeftoversAsync(CancellationToken cancellationToken)
    {
        var listing = await RunAsync(
            Patience, cancellationToken, "ps", "--all", "--quiet", "--filter", "label=org.testcontainers=true", "--filter", $"label={Label.Name}={Label.Value}");
        if (!listing.Succeeded)
            throw new SetupException($"The containers of earlier tests cannot be listed: {listing.Tail(3)}");
        var containers = listing.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (containers.Length == 0)
            return;
        var removal = await RunAsync(PullPatience, cancellationToken, ["rm", "--force", "--volumes", .. containers]);
        if (!removal.Succeeded)
            throw new SetupException($"The containers of earlier tests cannot be removed: {removal.Tail(3)}");
    }

    private static Task<SubprocessResult> RunAsync(TimeSpan patience, CancellationToken cancellationToken, params string[] arguments) =>
        Subprocess.RunAsync(Docker, arguments, timeout: patience, cancellationToken: cancellationToken);

    private static string? Named(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } image ? image : null;

    private static void SetDefault(string variable, string value)
    {
        if (Named(variable) is null)
            Environment.SetEnvironmentVariable(variable, value);
    }
}
