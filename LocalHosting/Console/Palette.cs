using System.Globalization;

namespace Aspire.Hosting.ConsoleView;

/// <summary>Colours that can be read on dark and on light.</summary>
internal static class Palette
{
    public const string Reset = "\e[0m";
    public const string Dim = "\e[2m";

    private const string Bold = "\e[1m";

    private static readonly int[] s_colours = [32, 34, 36, 38, 67, 71, 97, 99, 108, 130, 133, 136, 139, 166, 168, 173];

    /// <summary>The colour of a name: the same in every run.</summary>
    public static string Of(string name)
    {
        if (name == ConsoleOutput.HostName)
            return Bold;
        var hash = 2166136261u;
        foreach (var c in name)
            hash = (hash ^ c) * 16777619u;
        return string.Create(CultureInfo.InvariantCulture, $"\e[38;5;{s_colours[hash % s_colours.Length]}m");
    }
}
