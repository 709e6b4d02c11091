using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Tools;

/// <summary>Folders that are complete or not there.</summary>
public sealed class StampedFolderTests : IDisposable
{
    // A folder is renamed into its place, so it must be on the file system of the drafts.
    private readonly string folder = Path.Combine(Workspace.PrivateFolder, "test-" + Path.GetRandomFileName());

    public void Dispose() => Directory.Delete(Directory.CreateDirectory(folder).FullName, recursive: true);

    [Fact]
    public async Task It_is_made_once_for_the_same_inputs_and_anew_for_others_and_a_failure_leaves_the_old_one()
    {
        Assert.Null(StampedFolder.StampOf(folder));
        await MakeAsync("one", draft => File.WriteAllTextAsync(Path.Combine(draft, "contents"), "first"));
        await MakeAsync("one", _ => throw new SetupException("made again"));
        await Assert.ThrowsAsync<SetupException>(() => MakeAsync("two", _ => throw new SetupException("no network")));
        Assert.Equal(("one", "first"), (StampedFolder.StampOf(folder), await ContentsAsync()));
        await MakeAsync("two", draft => File.WriteAllTextAsync(Path.Combine(draft, "contents"), "second"));
        Assert.Equal(("two", "second"), (StampedFolder.StampOf(folder), await ContentsAsync()));
    }

    [Fact]
    public void A_fingerprint_changes_with_every_input_and_with_their_bounds()
    {
        string[][] inputs = [["a", "b"], ["b", "a"], ["ab"], ["a"]];
        string[] prints = [.. inputs.Select(texts => StampedFolder.Fingerprint([], texts)), StampedFolder.Fingerprint([Path.Combine(Workspace.GoModule, "go.mod")], "a")];
        Assert.Equal(prints.Distinct(), prints);
        Assert.Equal(prints[0], StampedFolder.Fingerprint([], "a", "b"));
    }

    private Task<string> ContentsAsync() => File.ReadAllTextAsync(Path.Combine(folder, "contents"));

    private Task<string> MakeAsync(string inputs, Func<string, Task> fill) => SetupLock.HoldAsync(
        () => StampedFolder.EnsureAsync(folder, inputs, fill), Progress.Silent, TestContext.Current.CancellationToken);
}
