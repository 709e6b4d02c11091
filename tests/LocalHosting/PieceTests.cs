using Aspire.Hosting.ConsoleView;
using Aspire.Hosting.Processes;
using Aspire.Hosting.Running;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Hybrid.Tests.LocalHosting;

/// <summary>The small pieces, each by itself.</summary>
public sealed class PieceTests
{
    [Fact]
    public void Backoff_doubles_to_its_cap_and_begins_anew_after_health()
    {
        var backoff = new Backoff(() => 1);
        var waits = Enumerable.Range(0, 8).Select(_ => backoff.Next(TimeSpan.Zero).TotalSeconds);
        Assert.Equal([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10], waits);

        Assert.Equal(Backoff.First, backoff.Next(Backoff.ResetAfter));
        Assert.Equal(TimeSpan.Zero, new Backoff(() => 0).Next(TimeSpan.Zero));
    }

    [Fact]
    public void Lines_are_cut_where_they_are_too_long_and_the_last_needs_no_end()
    {
        var lines = new List<string>();
        LineReader.ReadLines(new StringReader("a\r\n\n" + new string('x', LineReader.MaxLineLength + 5) + "\nend"), lines.Add);

        Assert.Equal(["a", "", new string('x', LineReader.MaxLineLength), "xxxxx", "end"], lines);
    }

    [Fact]
    public void The_log_keeps_the_latest_lines_and_moves_older_files_aside()
    {
        var directory = Directory.CreateTempSubdirectory("resource-logs-");
        try
        {
            for (var run = 1; run <= 5; run++)
            {
                using var logs = new ResourceLogs();
                logs.OpenDirectory(directory.FullName);
                for (var i = 0; i < ResourceLogs.Capacity + 10; i++)
                    logs.Append("service", $"{run}/{i}", isError: false);
                Assert.Equal(ResourceLogs.Capacity, logs.Tail("SERVICE").Count);
                Assert.Equal($"{run}/10", logs.Tail("service")[0]);
                Assert.Equal([$"{run}/{ResourceLogs.Capacity + 9}"], logs.Tail("service", 1));
                Assert.Empty(logs.Tail("other"));
            }

            Assert.Equal(
                ["service.log", "service.log.1", "service.log.2", "service.log.3"], directory.GetFiles().Select(f => f.Name).Order(StringComparer.Ordinal));
            Assert.Equal("4/0", File.ReadLines(Path.Combine(directory.FullName, "service.log.1")).First());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public void Lines_stand_in_one_column_and_have_colours_only_on_a_terminal()
    {
        var plain = new StringWriter();
        using (var console = new ConsoleOutput(plain, colours: false, quiet: false))
        {
            console.Align(["control-plane", "db"]);
            console.WriteLine("db", "ready");
            console.WriteLine("control-plane", "ready");
        }

        Assert.Equal(["db            | ready", "control-plane | ready", ""], plain.ToString().Split(Environment.NewLine));

        var coloured = new StringWriter();
        using (var console = new ConsoleOutput(coloured, colours: true, quiet: false))
            console.WriteLine("db", "ready");
        Assert.StartsWith(Palette.Of("db"), coloured.ToString());
        Assert.Equal(Palette.Of("db"), Palette.Of(new string("db")));

        var quiet = new StringWriter();
        using (var console = new ConsoleOutput(quiet, colours: false, quiet: true))
            console.WriteLine("db", "ready");
        Assert.Empty(quiet.ToString());
    }

    [Fact]
    public void The_table_names_resource_state_process_and_urls()
    {
        var resource = new ExecutableResource("service", "sh", ".");
        var snapshot = new CustomResourceSnapshot
        {
            ResourceType = "Executable",
            State = KnownResourceStates.Running,
            HealthStatus = HealthStatus.Healthy,
            ProcessId = 4711,
            Urls = [new UrlSnapshot("http", "http://localhost:1", false), new UrlSnapshot("gRPC", "http://localhost:2", false)],
        };

        var lines = StateTable.Render([new ResourceEvent(resource, "service", snapshot)]).ToArray();

        Assert.Equal("  Resource  State    Pid   URLs", lines[1]);
        Assert.Equal("  service   Healthy  4711  http://localhost:1  gRPC http://localhost:2", lines[3]);
        Assert.Equal("Failed", StateTable.StateOf(snapshot with { State = KnownResourceStates.FailedToStart }));
        Assert.Equal("Unhealthy", StateTable.StateOf(snapshot with { HealthStatus = HealthStatus.Degraded }));
    }

    [Theory]
    [InlineData("just text")]
    [InlineData("http://host:1/path")]
    [InlineData("a:1,b:2")]
    [InlineData("Server=x;Database=y")]
    [InlineData("==;=")]
    public void Connection_strings_of_other_forms_have_no_parts(string text) => Assert.Empty(Aspire.Hosting.ConnectionStringParts.Of(text));

    [Fact]
    public void Exit_codes_are_put_in_words()
    {
        Assert.Equal("code 137 (killed)", ExitCodes.Describe(137));
        Assert.Equal("code 2 (bad configuration)", ExitCodes.Describe(2));
        Assert.Equal("code 42", ExitCodes.Describe(42));
    }

    [Fact]
    public async Task Expressions_keep_their_holes_open_until_they_are_asked()
    {
        var value = "before";
        var parameter = new ParameterResource("p", _ => value);
        var expression = ReferenceExpression.Create($"{{x}}={parameter};{"text"}");
        value = "after";

        Assert.Equal("{{x}}={0};text", expression.Format);
        Assert.Equal("{x}={p.value};text", expression.ValueExpression);
        Assert.Equal("{x}=after;text", await expression.GetValueAsync(TestContext.Current.CancellationToken));
    }
}
