using System.Security.Cryptography;
using System.Text;
using Hybrid.Toolchain;

namespace Hybrid.AppHost.Start;

/// <summary>What the hosting integrations of Postgres and Kafka need to know of this start.</summary>
/// <param name="UsesContainers">True for containers, false for native servers.</param>
/// <param name="Engine">The container engine's command; null where none answers.</param>
internal sealed record Infrastructure(StateFolder State, Ports Ports, bool UsesContainers, string? Engine)
{
    private static readonly TimeSpan EnginePatience = TimeSpan.FromSeconds(10);

    /// <summary>Asks for a container engine, unless the options ask for native servers anyway.</summary>
    public static async Task<Infrastructure> ChooseAsync(StartOptions options)
    {
        var engine = options.Infrastructure == InfrastructureKind.Native ? null : await FindEngineAsync();
        return new Infrastructure(
            new StateFolder(options.State),
            options.RandomPorts ? Ports.Free() : Ports.Documented,
            options.Infrastructure == InfrastructureKind.Containers || engine is not null,
            engine);
    }

    /// <summary>
    /// The named volume of a container's data. Its name derives from the state folder, so each folder has data of its own, and
    /// --fresh can remove it.
    /// </summary>
    public string VolumeOf(string resource) =>
        $"hybrid-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(State.Root)))[..12]}-{resource}";

    private static async Task<string?> FindEngineAsync()
    {
        foreach (var engine in (string[])["docker", "podman"])
        {
            if (Subprocess.Find(engine) is not null && (await Subprocess.RunAsync(engine, ["info"], timeout: EnginePatience)).Succeeded)
                return engine;
        }
        return null;
    }
}
