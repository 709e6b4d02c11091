using System.Text.RegularExpressions;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Shape;

/// <summary>docs/architecture.md has a sentence for every folder that has files of its own, and none for a folder that is gone.</summary>
public sealed partial class ArchitectureDocumentTests
{
    // Their parent's sentence covers these: generated trees, versions of a contract, layouts that a tool prescribes.
    private static readonly string[] CoveredByParent =
    [
        "go-control-plane/gen/", "go-control-plane/cmd/", "Lab/twins/go/cmd/", "Lab/interop/go/cmd/", "go-control-plane/internal/postgres/", "protos/hybrid/", "protos/opentelemetry/", "protos/testdata/",
    ];

    [Fact]
    public async Task Every_folder_has_its_sentence()
    {
        var text = await File.ReadAllTextAsync(Path.Combine(Workspace.Root, "docs/architecture.md"), TestContext.Current.CancellationToken);
        var documented = FolderRow().Matches(text).Select(m => m.Groups[1].Value).ToList();
        var folders = await FoldersAsync();

        Assert.All(folders, f => Assert.True(
            documented.Contains(f) || CoveredByParent.Any(parent => (f + "/").StartsWith(parent, StringComparison.Ordinal)), $"{f} has no sentence"));
        Assert.All(documented, d => Assert.True(Directory.Exists(Path.Combine(Workspace.Root, d)), $"{d} is gone"));
        Assert.Equal(documented.Distinct(), documented);
    }

    private static async Task<List<string>> FoldersAsync()
    {
        var listing = await Subprocess.RunAsync("git", ["ls-files"], cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(listing.Succeeded, listing.Output);
        return
        [
            .. listing.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(f => Path.GetDirectoryName(f)!.Replace('\\', '/'))
                // Inputs that a fuzz target found lie where Go looks for them.
                .Where(d => d.Length > 0 && d[0] != '.' && !d.Contains("/testdata/fuzz/", StringComparison.Ordinal))
                // A crate is one folder to the reader, whatever cargo wants inside it.
                .Select(d => Crate().Match(d) is { Success: true } crate ? crate.Value : d).Distinct()
                .Except(["go-control-plane", "go-control-plane/internal", "rust-data-plane"]),
        ];
    }

    [GeneratedRegex(@"^\| `([^`]+)` \|", RegexOptions.Multiline)]
    private static partial Regex FolderRow();

    [GeneratedRegex("^(rust-data-plane/crates/[^/]+|Lab/twins/rust/[^/]+|Lab/interop/rust)")]
    private static partial Regex Crate();
}
