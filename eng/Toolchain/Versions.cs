using System.Text.RegularExpressions;

namespace Hybrid.Toolchain;

/// <summary>The oldest versions of the compilers, and versions of modules, as the manifests of the two planes state them.</summary>
internal static partial class Versions
{
    private static readonly string GoManifest = Path.Combine(Workspace.GoModule, "go.mod");

    /// <summary>From the <c>go</c> line of go.mod.</summary>
    public static Version OldestGo => First(GoLine(), GoManifest);

    /// <summary>From <c>rust-version</c> in the workspace's Cargo.toml.</summary>
    public static Version OldestRust => First(RustVersionLine(), Path.Combine(Workspace.RustSources, "Cargo.toml"));

    /// <returns>The version of a module that go.mod requires, with its <c>v</c>.</returns>
    public static string OfGoModule(string module) =>
        Regex.Match(File.ReadAllText(GoManifest), $@"^\s*(?:require\s+)?{Regex.Escape(module)}\s+(v\S+)", RegexOptions.Multiline) is { Success: true } match
            ? match.Groups[1].Value
            : throw new SetupException($"{GoManifest} does not require {module}, whose version the generator of its code must have.");

    /// <returns>The first version number in what a program prints about itself, or null.</returns>
    public static Version? In(string text) => Number().Match(text) is { Success: true } match ? Parse(match.Value) : null;

    private static Version First(Regex line, string file) =>
        line.Match(File.ReadAllText(file)) is { Success: true } match ? Parse(match.Groups[1].Value) : throw new SetupException($"{file} names no oldest version.");

    // With three parts always, so that 1.26 and 1.26.0 compare as equal.
    private static Version Parse(string text) => Version.Parse(text.Split('.').Length == 2 ? text + ".0" : text);

    [GeneratedRegex(@"^go (\d+\.\d+(?:\.\d+)?)", RegexOptions.Multiline)]
    private static partial Regex GoLine();

    [GeneratedRegex(@"^rust-version = ""(\d+\.\d+(?:\.\d+)?)""", RegexOptions.Multiline)]
    private static partial Regex RustVersionLine();

    [GeneratedRegex(@"\d+\.\d+(\.\d+)?")]
    private static partial Regex Number();
}
