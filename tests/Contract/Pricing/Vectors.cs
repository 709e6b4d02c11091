using System.Text.Json.Nodes;
using Google.Protobuf;

namespace Hybrid.Tests.Contract.Pricing;

/// <summary>The vectors of protos/testdata, by the name of their file and their own.</summary>
internal static class Vectors
{
    public static Dictionary<string, JsonNode> Pricing { get; } = Read("pricing");

    public static Dictionary<string, JsonNode> Money { get; } = Read("money");

    /// <summary>The resources of one kind in the catalog of a vector.</summary>
    public static List<T> Messages<T>(JsonNode vector, string kind) where T : IMessage<T>, new() =>
        [.. (vector["catalog"]![kind]?.AsArray() ?? []).Select(node => JsonParser.Default.Parse<T>(node!.ToJsonString()))];

    private static Dictionary<string, JsonNode> Read(string area) =>
        Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "testdata", area), "*.json").Order(StringComparer.Ordinal)
            .SelectMany(file => JsonNode.Parse(File.ReadAllText(file))!["cases"]!.AsArray()
                .Select((vector, i) => (Name: $"{Path.GetFileNameWithoutExtension(file)}: {(string?)vector!["name"] ?? $"#{i}"}", Vector: vector!)))
            .ToDictionary(vector => vector.Name, vector => vector.Vector);
}
