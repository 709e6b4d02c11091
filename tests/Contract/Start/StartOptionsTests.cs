using Hybrid.AppHost.Start;

namespace Hybrid.Tests.Contract.Start;

/// <summary>AppHost's command line.</summary>
public sealed class StartOptionsTests : IDisposable
{
    private readonly TextWriter error = Console.Error;
    private readonly TextWriter output = Console.Out;
    private readonly StringWriter printed = new();

    public StartOptionsTests()
    {
        Console.SetError(printed);
        Console.SetOut(printed);
    }

    public void Dispose()
    {
        Console.SetError(error);
        Console.SetOut(output);
        printed.Dispose();
    }

    [Theory]
    [InlineData("--frehs", "--frehs")]
    [InlineData("--fresh --stat=/tmp/elsewhere", "--stat=/tmp/elsewhere")]
    [InlineData("--fresh --stat /tmp/elsewhere", "--stat")]
    [InlineData("--random-port --check", "--random-port")]
    [InlineData("check", "check")]
    [InlineData("--infrastructure x", "x")]
    [InlineData("--infrastructure", "--infrastructure")]
    [InlineData("--state", "--state")]
    public void What_is_not_understood_is_refused_by_name(string line, string named)
    {
        Assert.False(StartOptions.TryParse(line.Split(' '), out var options, out var exitCode));
        Assert.Null(options);
        Assert.Equal(2, exitCode);
        Assert.Contains(named, printed.ToString());
    }

    [Fact]
    public void An_empty_state_folder_is_refused()
    {
        Assert.False(StartOptions.TryParse(["--state", ""], out _, out var exitCode));
        Assert.Equal(2, exitCode);
        Assert.Contains("--state", printed.ToString());
    }

    [Fact]
    public void Help_is_printed_and_is_no_failure()
    {
        Assert.False(StartOptions.TryParse(["--help"], out _, out var exitCode));
        Assert.Equal(0, exitCode);
        foreach (var option in (string[])["--check", "--fresh", "--state", "--random-ports", "--infrastructure", "ConnectionStrings__hybriddb"])
            Assert.Contains(option, printed.ToString());
    }

    [Fact]
    public void Without_arguments_nothing_special_is_done()
    {
        var options = Parse("");
        Assert.Equal((false, false, false, InfrastructureKind.Auto), (options.Check, options.Fresh, options.RandomPorts, options.Infrastructure));
        Assert.True(Path.IsPathFullyQualified(options.State));
        Assert.Empty(options.HostArguments);
    }

    [Fact]
    public void Every_option_is_taken()
    {
        var options = Parse("--check --fresh --random-ports --state relative/folder --infrastructure containers");
        Assert.Equal((true, true, true, InfrastructureKind.Containers), (options.Check, options.Fresh, options.RandomPorts, options.Infrastructure));
        Assert.Equal(Path.GetFullPath("relative/folder"), options.State);
        Assert.Equal("/tmp/other", Parse("--state=/tmp/other").State);
        Assert.Equal(InfrastructureKind.Native, Parse("--infrastructure native").Infrastructure);
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
        Assert.True(StartOptions.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries), out var options, out var exitCode));
        Assert.Equal(0, exitCode);
        return options;
    }
}
