using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Hybrid.Toolchain;

/// <summary>
/// What earlier runs found out or finished, so that a later one need not ask again. Each answer is kept under the inputs
/// that it depended on: other inputs, and the question is asked anew.
/// </summary>
internal sealed class SetupState
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private readonly string path;
    private readonly Dictionary<string, Answer> answers;

    private sealed record Answer(string Inputs, string Value, DateTimeOffset At);

    public SetupState(string folder)
    {
        path = Path.Combine(folder, "state.json");
        answers = Read(path);
    }

    /// <summary>The kept answer, if it was given for these inputs and is not older than asked for.</summary>
    public string? Get(string question, string inputs, TimeSpan? maxAge = null) =>
        answers.TryGetValue(question, out var answer)
        && answer.Inputs == inputs
        && (maxAge is null || DateTimeOffset.UtcNow - answer.At < maxAge)
            ? answer.Value
            : null;

    public void Set(string question, string inputs, string value)
    {
        answers[question] = new Answer(inputs, value, DateTimeOffset.UtcNow);
        var draft = path + ".new";
        File.WriteAllText(draft, JsonSerializer.Serialize(answers, Indented));
        File.Move(draft, path, overwrite: true);
    }

    /// <summary>One short text that changes whenever one of the files or texts does.</summary>
    public static string Fingerprint(IEnumerable<string> files, params string[] texts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(Path.GetFileName(file)));
            hash.AppendData(File.Exists(file) ? File.ReadAllBytes(file) : []);
        }
        foreach (var text in texts)
            hash.AppendData(Encoding.UTF8.GetBytes(text + "\n"));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    private static Dictionary<string, Answer> Read(string path)
    {
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize<Dictionary<string, Answer>>(File.ReadAllText(path)) ?? [] : [];
        }
        catch (JsonException)
        {
            // A file that cannot be read only costs the questions it would have saved.
            return [];
        }
    }
}
