using Hybrid.Toolchain.Debian;

namespace Hybrid.Tests.Contract.Tools;

/// <summary>Which of a machine's package sources is the mirror of Debian's main archive.</summary>
public sealed class DebianMirrorsTests
{
    [Fact]
    public void The_mirror_is_the_one_with_updates_of_the_suite() =>
        Assert.Equal(
            ["http://mirror.example/debian", "http://vendor.example/packages"],
            Candidates(
                ("http://vendor.example/packages", "bookworm"), ("http://mirror.example/debian", "bookworm"), ("http://mirror.example/debian", "bookworm-updates"),
                ("http://mirror.example/debian-security", "bookworm-security")));

    [Fact]
    public void Without_updates_the_usual_path_decides() =>
        Assert.Equal(
            ["http://mirror.example/debian", "http://vendor.example/packages"],
            Candidates(("http://vendor.example/packages", "bookworm"), ("http://mirror.example/debian", "bookworm")));

    [Theory]
    [InlineData("stable")]
    [InlineData("testing")]
    [InlineData("sid")]
    public void A_suite_can_go_by_its_rolling_name(string suite) =>
        Assert.Equal(["http://mirror.example/debian"], Candidates(("http://mirror.example/debian", suite)));

    [Fact]
    public void The_own_suite_comes_before_a_rolling_one() =>
        Assert.Equal(
            ["http://own.example/debian", "http://rolling.example/debian"],
            Candidates(("http://rolling.example/debian", "sid"), ("http://own.example/debian", "bookworm")));

    [Fact]
    public void A_mirror_is_named_once() =>
        Assert.Equal(["http://mirror.example/debian"], Candidates(("http://mirror.example/debian", "bookworm"), ("http://mirror.example/debian", "sid")));

    [Fact]
    public void Other_suites_are_no_mirror() => Assert.Empty(Candidates(("http://mirror.example/debian", "bullseye"), ("http://vendor.example/apt", "noble")));

    [Fact]
    public void A_trailing_slash_is_no_part_of_the_mirror() =>
        Assert.Equal(
            ["http://mirror.example/debian"],
            DebianMirrors.Candidates("'http://mirror.example/debian//dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0 \n", "bookworm"));

    [Theory]
    [InlineData("")]
    [InlineData("Reading package lists...\nE: Unable to read /etc/apt/sources.list\n")]
    public void What_apt_says_besides_is_passed_over(string output) => Assert.Empty(DebianMirrors.Candidates(output, "bookworm"));

    private static IReadOnlyList<string> Candidates(params (string Base, string Suite)[] sources) => DebianMirrors.Candidates(
        string.Concat(sources.Select(s => $"'{s.Base}/dists/{s.Suite}/InRelease' {s.Base.Replace('/', '_')}_dists_{s.Suite}_InRelease 0 \n")), "bookworm");
}
