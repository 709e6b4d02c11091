using System.Globalization;
using System.Text.RegularExpressions;

namespace Hybrid.Tests.LocalHosting;

/// <summary>How a host ends, by will or by force, and what it leaves: nothing.</summary>
public sealed class StopTests : IDisposable
{
    // Says that it was asked to end, takes its time, and says that it does.
    private const string Polite = "trap 'echo $0 asked; sleep 0.3; echo $0 gone; exit 0' TERM; echo $0 $$; while :; do sleep 0.1; done";

    // Does not end when it is asked to.
    private const string Stubborn = "trap 'echo no' TERM; sleep 1000 & echo $0 $$ $!; while :; do sleep 0.1; done";

    private readonly DirectoryInfo state = Directory.CreateTempSubdirectory("host-process-");

    public void Dispose() => state.Delete(recursive: true);

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    [InlineData("HUP")]
    public async Task Those_who_wait_for_others_end_before_them(string signal)
    {
        using var host = new HostProcess(state.FullName, Script("a", Polite), Script("b", Polite), Script("c", Polite), "Waits:b=a", "Waits:c=b");
        int[] processes = [await IdAsync(host, "a"), await IdAsync(host, "b"), await IdAsync(host, "c")];

        host.Signal(signal);

        Assert.Equal(0, await host.ExitCodeAsync());
        Assert.Equal(
            ["c asked", "c gone", "b asked", "b gone", "a asked", "a gone"],
            host.Lines.Select(Said).Where(l => l.EndsWith(" asked", StringComparison.Ordinal) || l.EndsWith(" gone", StringComparison.Ordinal)));
        Assert.All(processes, id => Assert.False(ProcessLife.IsAlive(id)));
    }

    [Fact]
    public async Task Who_does_not_end_is_killed_with_all_that_it_has_started_after_the_grace()
    {
        using var host = new HostProcess(state.FullName, Script("a", Stubborn), "LocalHosting:StopGrace=0.5");
        var (process, child) = await IdsAsync(host, "a");

        host.Signal("TERM");

        Assert.Equal(0, await host.ExitCodeAsync());
        Assert.Contains("no", host.Lines.Select(Said));
        Assert.Contains(host.Lines, l => l.Contains("a was killed: it had not ended", StringComparison.Ordinal));
        Assert.False(ProcessLife.IsAlive(process));
        await ProcessLife.EndedAsync(child);
    }

    [Fact]
    public async Task A_second_interrupt_kills_at_once()
    {
        using var host = new HostProcess(state.FullName, Script("a", Stubborn), "LocalHosting:StopGrace=1000");
        var (process, child) = await IdsAsync(host, "a");

        host.Signal("INT");
        await host.LineAsync(l => Said(l) == "no", "the first answer");
        // Two within a moment count as one.
        await Eventually.HoldsAsync(
            "the host to end",
            () =>
            {
                host.Signal("INT");
                return Task.FromResult(host.HasExited);
            },
            exited => exited);

        Assert.Equal(0, await host.ExitCodeAsync());
        Assert.False(ProcessLife.IsAlive(process));
        await ProcessLife.EndedAsync(child);
    }

    [Fact]
    public async Task The_next_host_ends_what_a_killed_one_has_left()
    {
        int process, child;
        using (var host = new HostProcess(state.FullName, Script("a", Stubborn)))
        {
            (process, child) = await IdsAsync(host, "a");
            // The record names the shell once it has taken the launcher's place.
            await Eventually.HoldsAsync(
                "the record", () => File.ReadAllTextAsync(Path.Combine(state.FullName, "processes.json")),
                text => text.Contains("\"Executable\":\"", StringComparison.Ordinal),
                retryOn: e => e is FileNotFoundException);
            host.Signal("KILL");
            Assert.Equal(137, await host.ExitCodeAsync());
        }

        Assert.True(ProcessLife.IsAlive(process));
        Assert.True(ProcessLife.IsAlive(child));

        using var next = new HostProcess(state.FullName, Script("b", Polite));
        await IdAsync(next, "b");
        Assert.Contains(next.Lines, l => l.Contains($"ended a (process {process}), left by an earlier host", StringComparison.Ordinal));
        await ProcessLife.EndedAsync(process);
        await ProcessLife.EndedAsync(child);
    }

    [Fact]
    public async Task A_process_that_only_has_the_same_id_is_left_alone()
    {
        using var bystander = System.Diagnostics.Process.Start("sleep", "1000");
        await File.WriteAllTextAsync(
            Path.Combine(state.FullName, "processes.json"),
            $$"""[{"Resource":"a","Pid":{{bystander.Id}},"StartedAt":"another boot:1","Executable":null}]""",
            TestContext.Current.CancellationToken);

        using var host = new HostProcess(state.FullName, Script("b", Polite));
        await IdAsync(host, "b");

        Assert.False(bystander.HasExited);
        bystander.Kill();
    }

    [Fact]
    public async Task A_state_directory_has_one_host_at_a_time()
    {
        using var first = new HostProcess(state.FullName, Script("a", Polite));
        await IdAsync(first, "a");

        using var second = new HostProcess(state.FullName, Script("a", Polite));

        Assert.Equal(1, await second.ExitCodeAsync());
        Assert.Contains(second.Lines, l => l.Contains($"is in use by another host (process {first.Id})", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_run_that_cannot_be_ends_with_exit_code_1_and_one_line()
    {
        using var host = new HostProcess(state.FullName, Script("a", "sleep 1000"), Script("b", "sleep 1000"), "Waits:a=b", "Waits:b=a");

        Assert.Equal(1, await host.ExitCodeAsync());
        Assert.Single(host.Lines, l => l.Contains("wait for each other", StringComparison.Ordinal));
        Assert.DoesNotContain(host.Lines, l => l.Contains("   at ", StringComparison.Ordinal));
    }

    private static string Script(string name, string script) => $"Scripts:{name}={script.Replace("$0", name, StringComparison.Ordinal)}";

    private static string Said(string line) => line[(line.IndexOf('|', StringComparison.Ordinal) + 1)..].Trim();

    private static async Task<int> IdAsync(HostProcess host, string name) => (await IdsAsync(host, name)).Process;

    private static async Task<(int Process, int Child)> IdsAsync(HostProcess host, string name)
    {
        // Not a row of the table of states, which begins with the name too.
        var line = await host.LineAsync(l => Regex.IsMatch(Said(l), $"^{name} [0-9]+( [0-9]+)?$"), $"{name} to be up");
        var words = Said(line).Split(' ');
        return (Number(words[1]), words.Length > 2 ? Number(words[2]) : 0);

        static int Number(string word) => int.Parse(word, CultureInfo.InvariantCulture);
    }
}
