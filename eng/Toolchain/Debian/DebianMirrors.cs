using System.Text.RegularExpressions;

namespace Hybrid.Toolchain.Debian;

/// <summary>Tells the mirror of Debian's main archive from the other lines of a machine's package sources.</summary>
internal static partial class DebianMirrors
{
    private static readonly string[] RollingSuites = ["stable", "testing", "unstable", "sid"];

    /// <param name="updateUris">What <c>apt-get --print-uris update</c> prints with the machine's own sources.</param>
    /// <param name="suite">Code name of the machine's release.</param>
    /// <returns>
    /// Candidates, the likeliest first. A third party can name its suite like Debian's, but it has no suite of updates beside
    /// it; in the end the archive's signature decides.
    /// </returns>
    public static IReadOnlyList<string> Candidates(string updateUris, string suite)
    {
        var sources = InRelease().Matches(updateUris).Select(m => (Base: m.Groups["base"].Value, Suite: m.Groups["suite"].Value)).ToHashSet();
        return
        [
            .. sources.Where(s => s.Suite == suite || RollingSuites.Contains(s.Suite))
                .OrderByDescending(s => sources.Contains((s.Base, s.Suite + "-updates")))
                .ThenByDescending(s => s.Base.EndsWith("/debian", StringComparison.Ordinal))
                .ThenByDescending(s => s.Suite == suite)
                .Select(s => s.Base).Distinct(),
        ];
    }

    [GeneratedRegex("^'(?<base>[^']+?)/*/dists/(?<suite>[^/]+)/InRelease'", RegexOptions.Multiline)]
    private static partial Regex InRelease();
}
