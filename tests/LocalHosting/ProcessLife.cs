using System.Diagnostics;

namespace Hybrid.Tests.LocalHosting;

/// <summary>Whether processes live.</summary>
internal static class ProcessLife
{
    public static bool IsAlive(int id)
    {
        try
        {
            using var process = Process.GetProcessById(id);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    public static Task EndedAsync(int id) =>
        Eventually.HoldsAsync($"process {id} to be gone", () => Task.FromResult(IsAlive(id)), alive => !alive);
}
