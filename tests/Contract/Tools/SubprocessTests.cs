using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Tools;

/// <summary>Programs of the machine and of eng/: how they are found, asked and ended.</summary>
public sealed class SubprocessTests
{
    [Fact]
    public async Task A_program_that_takes_too_long_is_killed()
    {
        string[] arguments = ["-c", "echo before; sleep 600; echo after"];
        var result = await Subprocess.RunAsync("sh", arguments, timeout: TimeSpan.FromMilliseconds(300), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal((124, true, false), (result.ExitCode, result.Output.Contains("before"), result.Output.Contains("after")));
    }

    [Fact]
    public void A_link_to_nothing_is_not_there()
    {
        var link = Path.Combine(Path.GetTempPath(), "hybrid-test-" + Path.GetRandomFileName());
        File.CreateSymbolicLink(link, "/gone");
        Assert.False(Subprocess.IsThere(link));
        File.Delete(link);
    }

    [Theory]
    [InlineData("go version go1.27.1 linux/amd64", "1.27.1")]
    [InlineData("go 1.27", "1.27.0")]
    [InlineData("rust-version = \"1.90\"", "1.90.0")]
    [InlineData("cargo 1.95.0 (abc 2026-03-01)", "1.95.0")]
    [InlineData("Picked up JAVA_TOOL_OPTIONS: -Xmx512m\nopenjdk version \"21\" 2025-09-19", "21.0.0")]
    [InlineData("sh: 1: go: not found", null)]
    public void A_version_is_read_from_what_programs_and_manifests_state(string text, string? version) => Assert.Equal(version, Versions.In(text)?.ToString());

    [Theory]
    [InlineData("updates tell it", "vendor/packages bookworm, mirror/debian bookworm, mirror/debian bookworm-updates, mirror/debian-security bookworm-security", "mirror/debian vendor/packages")]
    [InlineData("then the usual path", "vendor/packages bookworm, mirror/debian bookworm", "mirror/debian vendor/packages")]
    [InlineData("then the own suite", "rolling/debian sid, own/debian bookworm", "own/debian rolling/debian")]
    [InlineData("a mirror is named once", "mirror/debian/ bookworm, mirror/debian testing", "mirror/debian")]
    [InlineData("other suites are none", "mirror/debian bullseye, vendor/apt noble", "")]
    public async Task The_mirror_of_Debian_is_told_from_other_package_sources(string why, string sources, string candidates)
    {
        var lines = sources.Split(", ").Select(s => s.Split(' ')).Select(s => $"'http://{s[0]}/dists/{s[1]}/InRelease' a_file 0 \n");
        var result = await Subprocess.RunAsync(
            Path.Combine(Workspace.Root, "eng/debian/mirrors.sh"), ["bookworm"], input: "Reading package lists...\n" + string.Concat(lines),
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(candidates == result.Output.Replace("http://", "").TrimEnd().Replace('\n', ' '), $"{why}: {result.Output}");
    }
}
