using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Tools;

/// <summary>Versions in manifests, and in what programs print about themselves.</summary>
public sealed class VersionsTests
{
    [Theory]
    [InlineData("go version go1.27.1 linux/amd64", "1.27.1")]
    [InlineData("go version go1.27 linux/amd64", "1.27.0")]
    [InlineData("cargo 1.95.0 (abc 2026-03-01)", "1.95.0")]
    public void A_program_states_its_version(string output, string version) => Assert.Equal(Version.Parse(version), Versions.In(output));

    [Theory]
    [InlineData("")]
    [InlineData("go: command not found")]
    public void What_states_none_has_none(string output) => Assert.Null(Versions.In(output));

    [Fact]
    public void Two_parts_and_three_compare_as_equal() => Assert.Equal(Versions.In("1.26"), Versions.In("1.26.0"));

    [Fact]
    public void The_manifests_name_the_oldest_compilers()
    {
        Assert.True(Versions.OldestGo >= new Version(1, 20));
        Assert.True(Versions.OldestRust >= new Version(1, 70));
    }

    [Fact]
    public void The_manifest_names_the_version_of_a_module()
    {
        Assert.Matches(@"^v1\.\d+\.\d+$", Versions.OfGoModule("google.golang.org/grpc"));
        Assert.Contains("example.com/nothing", Assert.Throws<SetupException>(() => Versions.OfGoModule("example.com/nothing")).Message);
    }
}
