namespace Hybrid.AppHost.Infrastructure;

/// <summary>Containers are used where Aspire runs them and an engine answers.</summary>
internal static class ContainerEngine
{
    private static readonly Lazy<bool> Answers = new(() => ((string[])["docker", "podman"]).Any(engine =>
        Toolchain.Subprocess.RunAsync(engine, ["info"], timeout: TimeSpan.FromSeconds(10)).GetAwaiter().GetResult().Succeeded));

    public static bool InUse => HostChoice.UsesAspire && Answers.Value;
}
