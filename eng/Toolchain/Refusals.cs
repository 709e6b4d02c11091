using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Hybrid.Toolchain;

/// <summary>
/// Registries that did not answer, so that they are not asked again at every start. What was brought is not recorded here: it
/// is looked for where it lies.
/// </summary>
internal static class Refusals
{
    private static readonly TimeSpan Kept = TimeSpan.FromDays(1);
    private static readonly string File = Path.Combine(Workspace.PrivateFolder, "state.json");
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private sealed record Refusal(string Inputs, string Reason, DateTimeOffset At);

    /// <returns>Why the registry refused a day ago or less, when asked with the same inputs; else null.</returns>
    public static string? Recent(string registry, string inputs) =>
        Read().TryGetValue(registry, out var refusal) && refusal?.Inputs == inputs && DateTimeOffset.UtcNow - refusal.At < Kept ? refusal.Reason : null;

    public static void Remember(string registry, string inputs, string reason)
    {
        var refusals = Read();
        refusals[registry] = new Refusal(inputs, reason, DateTimeOffset.UtcNow);
        var draft = File + ".new";
        System.IO.File.WriteAllText(draft, JsonSerializer.Serialize(refusals, Indented));
        System.IO.File.Move(draft, File, overwrite: true);
    }

    private static Dictionary<string, Refusal?> Read()
    {
        try
        {
            return System.IO.File.Exists(File) ? JsonSerializer.Deserialize<Dictionary<string, Refusal?>>(System.IO.File.ReadAllText(File)) ?? [] : [];
        }
        catch (JsonException)
        {
            // Losing the file costs only the questions that it would have saved.
            return [];
        }
    }
}
