namespace Hybrid.Tests.Contract.Planes;

/// <summary>Processes that tests keep running.</summary>
public sealed class ChildProcessTests
{
    [Fact]
    public async Task It_is_asked_to_end_by_its_signal()
    {
        var marker = Path.GetTempFileName();
        try
        {
            // Not SIGINT: a shell cannot trap what was ignored when it started, as SIGINT is in a background job.
            var child = Shell($"trap 'echo drained > {marker}; exit 0' USR1; echo up; while :; do sleep 0.05; done", endSignal: "USR1");
            await child.WaitAsync("to be up", () => Task.FromResult(child.Tail(1) is ["up"]), _ => false);
            await child.DisposeAsync();
            Assert.Equal("drained\n", await File.ReadAllTextAsync(marker, TestContext.Current.CancellationToken));
        }
        finally
        {
            File.Delete(marker);
        }
    }

    [Fact]
    public async Task A_wait_ends_at_once_when_the_process_has_ended()
    {
        await using var child = Shell("echo out of order >&2; exit 7");
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(
            () => child.WaitAsync("to be ready", () => Task.FromResult(false), _ => false));
        Assert.StartsWith("child ended with 7", failure.Message);
        Assert.Contains("out of order", failure.Message);
    }

    [Fact]
    public async Task Only_the_newest_lines_are_kept()
    {
        await using var child = Shell("for i in $(seq 2000); do echo $i; done; exec sleep 600");
        await child.WaitAsync("to have counted", () => Task.FromResult(child.Tail(1) is ["2000"]), _ => false);
        Assert.Equal(["1999", "2000"], child.Tail(2));
        Assert.True(child.Tail(int.MaxValue).Count < 1_000);
    }

    private static ChildProcess Shell(string script, string endSignal = "TERM") =>
        ChildProcess.Start("child", ["sh", "-c", script], Path.GetTempPath(), endSignal: endSignal);
}
