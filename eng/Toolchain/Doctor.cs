namespace Hybrid.Toolchain;

/// <summary>Says what was found, what will be used, and what to do about what is missing. Looks only, and changes nothing.</summary>
internal static class Doctor
{
    private sealed record Finding(string Tool, bool Found, bool Needed, string Text);

    /// <returns>True when everything that is needed is there or can be brought.</returns>
    public static async Task<bool> RunAsync(TextWriter output, CancellationToken cancellationToken)
    {
        var bring = PackageSource.OfThisMachine is { } source ? $"the set-up brings it from {source.Name}" : null;
        List<Finding> findings =
        [
            new(".NET", true, true, Environment.Version.ToString()),
            await GoAsync(bring, cancellationToken),
            await RustAsync(cancellationToken),
            new("C compiler", Subprocess.Find("cc") is not null, true, Subprocess.Find("cc") ?? "Rust links with it. " + Install.Rust),
            new("protoc", File.Exists(CodeGeneration.Protoc), false, "comes with the NuGet package Grpc.Tools; only `generate` needs it"),
            new("librdkafka", Directory.Exists(Workspace.LibrdkafkaPackage), true, "comes with the NuGet package librdkafka.redist"),
            Postgres(bring),
            await KafkaAsync(cancellationToken),
            await EngineAsync(cancellationToken),
        ];
        foreach (var finding in findings)
            await output.WriteLineAsync($"{(finding.Found ? "ok     " : finding.Needed ? "MISSING" : "absent ")}  {finding.Tool,-17} {finding.Text}");
        return findings.TrueForAll(f => f.Found || !f.Needed);
    }

    private static async Task<Finding> GoAsync(string? bring, CancellationToken cancellationToken) =>
        await GoSetup.FindOnMachineAsync(cancellationToken) is { } go
            ? new("Go", true, true, $"{go.Version} at {go.Program}")
            : new("Go", bring is not null, true, bring ?? $"{Versions.OldestGo} or newer is needed. {Install.Go}");

    private static async Task<Finding> RustAsync(CancellationToken cancellationToken) =>
        await RustSetup.FindOnMachineAsync(cancellationToken) is { } rust
            ? new("Rust", true, true, $"{rust.Version} at {rust.Program}")
            : new("Rust", false, true, $"{Versions.OldestRust} or newer is needed. {Install.Rust}");

    private static Finding Postgres(string? bring)
    {
        if (PostgresSetup.FindOnMachine() is { } postgres)
            return new("PostgreSQL", true, true, postgres.Folder);
        bring = Subprocess.Find("npm") is null ? bring : "the set-up brings it with npm";
        return new("PostgreSQL", bring is not null, true, bring ?? Install.Postgres);
    }

    /// <summary>Does not run Maven, which can take minutes.</summary>
    private static async Task<Finding> KafkaAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await KafkaSetup.KnownAsync(cancellationToken) switch
            {
                { Distribution: { } kafka } => new("Kafka", true, false, $"{kafka.Libraries} ({kafka.Origin}), on {kafka.Java}"),
                { WhyNot: var reason } => new("Kafka", false, false, $"the in-memory stand-in is used. {reason}"),
                null => new("Kafka", true, false, "the set-up asks Maven for it; where its repository does not answer, the in-memory stand-in is used"),
            };
        }
        catch (SetupException e)
        {
            return new("Kafka", false, true, e.Message);
        }
    }

    private static async Task<Finding> EngineAsync(CancellationToken cancellationToken)
    {
        foreach (var engine in (string[])["docker", "podman"])
        {
            if ((await Subprocess.RunAsync(engine, ["info"], timeout: TimeSpan.FromSeconds(10), cancellationToken: cancellationToken)).Succeeded)
                return new("container engine", true, false, $"{engine} answers");
        }
        return new("container engine", false, false, "none answers; native servers are used");
    }
}
