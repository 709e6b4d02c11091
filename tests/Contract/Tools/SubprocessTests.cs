using System.Diagnostics;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Tools;

/// <summary>Programs that are run to their end.</summary>
public sealed class SubprocessTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Both_streams_and_the_exit_code_come_back()
    {
        var result = await ShellAsync("echo out; echo err >&2; exit 3");
        Assert.Equal((3, false), (result.ExitCode, result.Succeeded));
        Assert.Equal(["err", "out"], result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_input_is_read_and_then_ends() =>
        Assert.Equal("one\n", (await Subprocess.RunAsync("cat", [], input: "one\n", cancellationToken: Cancellation)).Output);

    [Fact]
    public async Task A_variable_can_be_set_and_removed()
    {
        var result = await Subprocess.RunAsync("sh", ["-c", "echo \"$ADDED,${HOME-none}\""], environment: [new("ADDED", "yes"), new("HOME", null)], cancellationToken: Cancellation);
        Assert.Equal("yes,none\n", result.Output);
    }

    [Fact]
    public async Task A_program_that_is_not_there_is_an_exit_code()
    {
        var result = await Subprocess.RunAsync("no-such-program", [], cancellationToken: Cancellation);
        Assert.Equal(Subprocess.NotFound, result.ExitCode);
        Assert.Contains("no-such-program", result.Output);
    }

    [Fact]
    public async Task A_program_that_takes_too_long_is_killed_with_its_children()
    {
        var clock = Stopwatch.StartNew();
        var result = await Subprocess.RunAsync("sh", ["-c", "echo before; sleep 600; echo after"], timeout: TimeSpan.FromMilliseconds(300), cancellationToken: Cancellation);
        Assert.Equal(Subprocess.TimedOut, result.ExitCode);
        Assert.Contains("before", result.Output);
        Assert.DoesNotContain("after", result.Output);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30));
    }

    [Fact]
    public void The_tail_is_the_last_lines() => Assert.Equal("2\n3", new SubprocessResult(1, "1\n2\n3\n").Tail(2));

    [Fact]
    public void A_link_to_nothing_is_not_there()
    {
        var folder = Directory.CreateTempSubdirectory("hybrid-test-");
        try
        {
            var link = Path.Combine(folder.FullName, "link");
            File.CreateSymbolicLink(link, Path.Combine(folder.FullName, "gone"));
            Assert.False(Subprocess.IsThere(link));
            File.WriteAllText(Path.Combine(folder.FullName, "gone"), "");
            Assert.True(Subprocess.IsThere(link));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static Task<SubprocessResult> ShellAsync(string script) => Subprocess.RunAsync("sh", ["-c", script], cancellationToken: Cancellation);
}
