using Hybrid.AppHost.Start;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Start;

/// <summary>AppHost's state folder.</summary>
public sealed class StateFolderTests : IDisposable
{
    private readonly StateDirectory parent = new();

    private string Root => Path.Combine(parent.Path, "state");

    public void Dispose() => parent.Dispose();

    [Fact]
    public void A_second_host_on_the_same_folder_is_refused_and_leaves_the_first_one_its_data()
    {
        using (var first = Open(fresh: false))
        {
            Write(first.FolderOf("postgres"), "data");
            var refused = Assert.Throws<SetupException>(() => Open(fresh: true));
            Assert.Contains("Another start of Hybrid uses " + Root, refused.Message);
            Assert.True(File.Exists(Path.Combine(Root, "postgres/data")));
        }
        Open(fresh: false).Dispose();
    }

    [Fact]
    public void A_foreign_folder_is_not_cleared()
    {
        Write(Root, "thesis.txt");
        Assert.Contains("no state folder of Hybrid", Assert.Throws<SetupException>(() => Open(fresh: true)).Message);
        Assert.True(File.Exists(Path.Combine(Root, "thesis.txt")));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Only_fresh_removes_what_earlier_starts_left(bool fresh)
    {
        // It is possible at the first start too.
        using (var earlier = Open(fresh))
        {
            Write(earlier.FolderOf("kafka"), "log");
            File.WriteAllText(earlier.EndpointsFile, "{}");
        }
        using var again = Open(fresh);
        Assert.Equal(!fresh, File.Exists(Path.Combine(again.FolderOf("kafka"), "log")));
        Assert.Equal(!fresh, File.Exists(again.EndpointsFile));
    }

    private StateFolder Open(bool fresh)
    {
        var state = new StateFolder(Root);
        state.Open(fresh);
        return state;
    }

    private static void Write(string folder, string file)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, file), "");
    }
}
