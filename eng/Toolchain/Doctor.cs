namespace Hybrid.Toolchain;

/// <summary>Looks, changes nothing, and says what was found, what will be used, and what to do about what is missing.</summary>
internal static class Doctor
{
    private sealed record Finding(string Tool, bool Found, bool Needed, string Text);

    /// <returns>True when everything that is needed is there or can be brought.</returns>
    public static async Task<bool> RunAsync(TextWriter output, CancellationToken cancellationToken)
    {
        var debian = Debian.DebianPackages.Available;
        var bring = debian ? "the set-up brings it from Debian packages" : null;
        List<Finding> findings =
        [
            new(".NET SDK", true, true, Environment.Version.ToString()),
            await GoAsync(bring, cancellationToken),
            await RustAsync(cancellationToken),
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
            : new("Go", bring is not null, true, bring ?? $"{GoSetup.OldestVersion} or newer is needed. {Install.Go}");

    private static async Task<Finding> RustAsync(CancellationToken cancellationToken) =>
        await RustSetup.FindOnMachineAsync(cancellationToken) is { } rust
            ? new("Rust", true, true, $"{rust.Version} at {rust.Program}")
            : new("Rust", false, true, $"{RustSetup.OldestVersion} or newer is needed. {Install.Rust}");

    private static Finding Postgres(string? bring)
    {
        if (PostgresSetup.FindOnMachine() is { } postgres)
            return new("PostgreSQL", true, true, postgres.Folder);
        bring ??= Subprocess.Find("npm") is null ? null : "the set-up brings it with npm";
        return new("PostgreSQL", bring is not null, true, bring ?? Install.Postgres);
    }

    private static async Task<Finding> KafkaAsync(CancellationToken cancellationToken)
    {
        // Never runs Maven: a look must not take minutes. An answer that the set-up kept is used.
        var home = Environment.GetEnvironmentVariable("HYBRID_KAFKA_HOME") ?? Environment.GetEnvironmentVariable("KAFKA_HOME");
        Directory.CreateDirectory(Workspace.PrivateFolder);
        var java = await KafkaSetup.FindJavaAsync(new SetupState(Workspace.PrivateFolder), cancellationToken);
        if (java is null)
            return new("Kafka", false, false, $"no Java to run it; the in-memory stand-in is used. {Install.Java}");
        if (home is { Length: > 0 })
            return new("Kafka", true, false, $"{home}, on {java}");
        return Subprocess.Find("mvn") is null
            ? new("Kafka", false, false, $"the in-memory stand-in is used. {Install.Kafka}")
            : new("Kafka", true, false, "the set-up asks Maven for it; where its repository does not answer, the in-memory stand-in is used");
    }

    private static async Task<Finding> EngineAsync(CancellationToken cancellationToken)
    {
        foreach (var engine in (string[])["docker", "podman"])
        {
            if ((await Subprocess.RunAsync(engine, ["info"], timeout: TimeSpan.FromSeconds(10), cancellationToken: cancellationToken)).Succeeded)
                return new("container engine", true, false, $"{engine} answers; used under Aspire");
        }
        return new("container engine", false, false, "none answers; native servers are used");
    }
}
