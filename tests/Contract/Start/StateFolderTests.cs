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
    public void A_second_host_on_the_same_folder_is_refused()
    {
        using (var first = Open(fresh: false))
        {
            using var second = new StateFolder(Root);
            var refused = Assert.Throws<SetupException>(() => second.Open(fresh: true));
            Assert.Contains("Another start of Hybrid uses " + Root, refused.Message);
        }
        Open(fresh: false).Dispose();
    }

    [Fact]
    public void A_refused_second_host_leaves_the_first_one_its_data()
    {
        using var first = Open(fresh: false);
        Write(first.FolderOf("postgres"), "data");
        using var second = new StateFolder(Root);
        Assert.Throws<SetupException>(() => second.Open(fresh: true));
        Assert.True(File.Exists(Path.Combine(Root, "postgres/data")));
    }

    [Fact]
    public void A_foreign_folder_is_not_cleared()
    {
        Write(Root, "thesis.txt");
        using var state = new StateFolder(Root);
        var refused = Assert.Throws<SetupException>(() => state.Open(fresh: true));
        Assert.Contains("no state folder of Hybrid", refused.Message);
        Assert.True(File.Exists(Path.Combine(Root, "thesis.txt")));
    }

    [Fact]
    public void Fresh_removes_what_earlier_starts_left()
    {
        using (var earlier = Open(fresh: false))
        {
            Write(earlier.FolderOf("kafka"), "log");
            File.WriteAllText(earlier.EndpointsFile, "{}");
        }
        using var anew = Open(fresh: true);
        Assert.False(Directory.Exists(anew.FolderOf("kafka")));
        Assert.False(File.Exists(anew.EndpointsFile));
    }

    [Fact]
    public void Without_fresh_everything_stays()
    {
        using (var earlier = Open(fresh: false))
            Write(earlier.FolderOf("kafka"), "log");
        using var again = Open(fresh: false);
        Assert.True(File.Exists(Path.Combine(again.FolderOf("kafka"), "log")));
    }

    [Fact]
    public void Fresh_is_possible_at_the_first_start()
    {
        using var state = Open(fresh: true);
        Assert.True(Directory.Exists(Root));
    }

    [Fact]
    public void A_path_that_is_a_file_is_refused()
    {
        File.WriteAllText(Root, "");
        using var state = new StateFolder(Root);
        Assert.Contains(Root, Assert.Throws<SetupException>(() => state.Open(fresh: false)).Message);
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
