using System.Globalization;
using Aspire.Hosting.ApplicationModel;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Aspire.Hosting.ConsoleView;

/// <summary>The table of resources, states, process ids and URLs.</summary>
internal static class StateTable
{
    private static readonly string[] s_header = ["Resource", "State", "Pid", "URLs"];

    public static IEnumerable<string> Render(IEnumerable<ResourceEvent> events)
    {
        string[][] rows = [s_header, .. events.Select(Row)];
        var widths = Enumerable.Range(0, s_header.Length).Select(c => rows.Max(r => r[c].Length)).ToArray();
        yield return "";
        for (var r = 0; r < rows.Length; r++)
        {
            yield return "  " + string.Join("  ", rows[r].Select((cell, c) => cell.PadRight(widths[c]))).TrimEnd();
            if (r == 0)
                yield return "  " + string.Join("  ", widths.Select(w => new string('-', w)));
        }

        yield return "";
    }

    /// <summary>The state in a word.</summary>
    public static string StateOf(CustomResourceSnapshot snapshot)
    {
        var state = snapshot.State?.Text ?? KnownResourceStates.NotStarted;
        if (state == KnownResourceStates.FailedToStart)
            return "Failed";
        if (state != KnownResourceStates.Running)
            return state;
        return snapshot.HealthStatus switch
        {
            HealthStatus.Healthy => "Healthy",
            null => state,
            _ => "Unhealthy",
        };
    }

    private static string[] Row(ResourceEvent e) =>
    [
        e.ResourceId,
        StateOf(e.Snapshot),
        e.Snapshot.ProcessId?.ToString(CultureInfo.InvariantCulture) ?? "",
        string.Join("  ", e.Snapshot.Urls.Select(u => u.Name is null || u.Url.StartsWith(u.Name + ":", StringComparison.Ordinal) ? u.Url : $"{u.Name} {u.Url}")),
    ];
}
