using Hybrid.AppHost.Start;

namespace Hybrid.Tests.Contract.Start;

/// <summary>AppHost's command line.</summary>
public sealed class StartOptionsTests : IDisposable
{
    private readonly (TextWriter Output, TextWriter Error) console = (Console.Out, Console.Error);
    private readonly StringWriter printed = new();

    public StartOptionsTests()
    {
        Console.SetOut(printed);
        Console.SetError(printed);
    }

    public void Dispose()
    {
        Console.SetOut(console.Output);
        Console.SetError(console.Error);
        printed.Dispose();
    }

    [Theory]
    [InlineData("--frehs", "--frehs")]
    [InlineData("--fresh --stat=/tmp/elsewhere", "--stat=/tmp/elsewhere")]
    [InlineData("--fresh --stat /tmp/elsewhere", "--stat")]
    [InlineData("--random-port --check", "--random-port")]
    [InlineData("check", "check")]
    [InlineData("--infrastructure x", "x")]
    [InlineData("--check --only control-plane", "--only")]
    [InlineData("--infrastructure", "--infrastructure")]
    [InlineData("--state", "--state")]
    [InlineData("--state ", "--state")]
    public void What_is_not_understood_is_refused_by_name(string line, string named)
    {
        Assert.False(StartOptions.TryParse(line.Split(' '), out _, out var exitCode));
        Assert.Equal(2, exitCode);
        Assert.Contains(named, printed.ToString());
    }

    [Fact]
    public void Help_is_printed_and_is_no_failure()
    {
        Assert.False(StartOptions.TryParse(["--help"], out _, out var exitCode));
        Assert.Equal(0, exitCode);
        Assert.All(
            ["--check", "--fresh", "--state", "--random-ports", "--infrastructure", "ConnectionStrings__hybriddb"],
            option => Assert.Contains(option, printed.ToString()));
    }

    [Fact]
    public void Every_option_is_taken()
    {
        Assert.Equivalent(
            new StartOptions(Check: true, Fresh: true, Path.GetFullPath("relative/folder"), RandomPorts: true, InfrastructureKind.Containers, [], []),
            Parse("--check --fresh --random-ports --state relative/folder --infrastructure containers"));
        Assert.Equivalent(new StartOptions(false, false, "/tmp/other", false, InfrastructureKind.Native, ["metering"], []), Parse("--state=/tmp/other --infrastructure native --only metering"));
        var silent = Parse("");
        Assert.Equivalent(new StartOptions(false, false, silent.State, false, InfrastructureKind.Auto, [], []), silent);
        Assert.True(Path.IsPathFullyQualified(silent.State));
    }

    [Theory]
    [InlineData("DcpPublisher:RandomizePorts=false")]
    [InlineData("--Logging:LogLevel:Default=Debug")]
    [InlineData("ASPIRE_DASHBOARD_OTLP_ENDPOINT_URL=http://127.0.0.1:1")]
    [InlineData("--DOTNET_ENVIRONMENT=Development")]
    [InlineData("--operation publish --step publish --output-path out")]
    public void Configuration_is_passed_on_to_the_host(string line)
    {
        var options = Parse("--check " + line);
        Assert.Equal(line.Split(' '), options.HostArguments);
        Assert.True(options.Check);
    }

    private static StartOptions Parse(string line)
    {
        Assert.True(StartOptions.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries), out var options, out _));
        return options;
    }
}
