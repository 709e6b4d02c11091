using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>The tables of Lab/twins/README.md: where twins differ by design. A row has a case, then the answer of each twin, then the reason.</summary>
internal sealed class Differences
{
    private readonly Dictionary<string, Dictionary<string, string>> rows = [];
    private readonly HashSet<string> used = [];

    /// <param name="twins">The heading of the table is "case", the twins' names, "why".</param>
    public Differences(params string[] twins)
    {
        var heading = $"| case | {string.Join(" | ", twins)} | why |";
        var lines = File.ReadLines(Path.Combine(Workspace.Root, "Lab/twins/README.md")).SkipWhile(line => line != heading).Skip(2);
        foreach (var line in lines.TakeWhile(line => line.StartsWith('|')))
        {
            var cells = line.Trim('|').Split('|', StringSplitOptions.TrimEntries);
            rows.Add(cells[0], twins.Zip(cells.Skip(1)).ToDictionary(pair => pair.First, pair => pair.Second));
        }
        Assert.NotEmpty(rows);
    }

    /// <summary>Rows that say the same of all twins: they have no place in the table.</summary>
    public IEnumerable<string> Needless => rows.Where(row => row.Value.Values.Distinct().Count() == 1).Select(row => row.Key);

    /// <summary>Rows that no case has asked for.</summary>
    public IEnumerable<string> Unused => rows.Keys.Except(used);

    /// <summary>What a twin answers by the table, or what all of them do where it has no row.</summary>
    public string Expected(string twin, string name, string answer)
    {
        used.Add(name);
        return rows.TryGetValue(name, out var row) ? row[twin] : answer;
    }
}
