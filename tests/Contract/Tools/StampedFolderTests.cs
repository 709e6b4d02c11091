using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Tools;

/// <summary>Folders that are complete or not there.</summary>
public sealed class StampedFolderTests : IDisposable
{
    // A folder is renamed into its place, so it must be on the file system of the drafts.
    private readonly string folder = Path.Combine(Workspace.PrivateFolder, "test-" + Path.GetRandomFileName());

    public void Dispose()
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task It_is_made_once_for_the_same_inputs_and_anew_for_others()
    {
        Assert.Null(StampedFolder.StampOf(folder));
        await MakeAsync("one");
        await MakeAsync("one", contents: "again");
        Assert.Equal("one", Contents);
        await MakeAsync("two");
        Assert.Equal(("two", "two"), (Contents, StampedFolder.StampOf(folder)));
    }

    [Fact]
    public async Task A_failure_while_it_is_filled_leaves_the_old_one()
    {
        await MakeAsync("one");
        await Assert.ThrowsAsync<SetupException>(() => HoldingLockAsync("two", _ => throw new SetupException("no network")));
        Assert.Equal(("one", "one"), (Contents, StampedFolder.StampOf(folder)));
    }

    [Fact]
    public async Task Only_what_was_made_so_is_removed()
    {
        Directory.CreateDirectory(folder);
        StampedFolder.Remove(folder);
        Assert.True(Directory.Exists(folder));
        await MakeAsync("one");
        StampedFolder.Remove(folder);
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public void A_fingerprint_changes_with_every_input_and_with_their_bounds()
    {
        string[] prints =
        [
            StampedFolder.Fingerprint([], "a", "b"), StampedFolder.Fingerprint([], "b", "a"), StampedFolder.Fingerprint([], "ab"), StampedFolder.Fingerprint([], "a"),
            StampedFolder.Fingerprint([Path.Combine(Workspace.GoModule, "go.mod")], "a"),
        ];
        Assert.Equal(prints.Distinct(), prints);
        Assert.Equal(prints[0], StampedFolder.Fingerprint([], "a", "b"));
    }

    private string Contents => File.ReadAllText(Path.Combine(folder, "contents"));

    private Task<string> MakeAsync(string inputs, string? contents = null) =>
        HoldingLockAsync(inputs, draft => File.WriteAllTextAsync(Path.Combine(draft, "contents"), contents ?? inputs));

    private Task<string> HoldingLockAsync(string inputs, Func<string, Task> fill) => SetupLock.HoldAsync(
        () => StampedFolder.EnsureAsync(folder, inputs, fill), Progress.Silent, TestContext.Current.CancellationToken);
}
