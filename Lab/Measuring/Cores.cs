using Hybrid.Toolchain;

namespace Hybrid.Lab.Measuring;

/// <summary>Which processors the server under load and its generator run on, so that neither takes time from the other.</summary>
internal static class Cores
{
    private static readonly bool CanPin = Environment.ProcessorCount >= 2 && Subprocess.Find("taskset") is not null;

    /// <summary>Two where the machine has four, as the article's machine had; else one.</summary>
    public static int OfServer { get; } = Environment.ProcessorCount >= 4 ? 2 : 1;

    /// <summary>For the report.</summary>
    public static string Description { get; } = !CanPin
        ? "servers and generator share all cores (taskset is not here, or there is one core)"
        : $"each server on {(OfServer == 1 ? "core 0" : "cores 0 and 1")}, the generator on the others, stores anywhere";

    /// <summary>A command on the server's cores.</summary>
    public static string[] Server(params string[] command) => CanPin ? ["taskset", "-c", OfServer == 1 ? "0" : "0,1", .. command] : command;

    /// <summary>A command on the other cores.</summary>
    public static string[] Generator(params string[] command) => CanPin ? ["taskset", "-c", $"{OfServer}-{Environment.ProcessorCount - 1}", .. command] : command;
}
