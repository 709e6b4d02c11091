using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Suites;

/// <summary>The suites that sit with the Go and the Rust code. To run one alone: see docs/development.md.</summary>
public sealed class LanguageSuites(ITestOutputHelper output)
{
    [Fact]
    public async Task Go_suite_passes_under_the_race_detector()
    {
        var tools = await SetUp.ToolsAsync(output);
        await RunAsync(tools.Go.Program, ["test", "-race", "./..."], Workspace.GoModule, tools.Go.Environment);
    }

    [Fact]
    public async Task Rust_suite_passes()
    {
        var tools = await SetUp.ToolsAsync(output);
        await RunAsync(
            tools.Rust.Program, ["test", "--workspace", "--profile", Programs.RustProfile, "--no-fail-fast"], tools.Rust.WorkspaceFolder, tools.Rust.Environment);
    }

    private async Task RunAsync(string program, string[] arguments, string folder, IReadOnlyDictionary<string, string?> environment)
    {
        var result = await Subprocess.RunAsync(
            program, arguments, folder, environment, onLine: Console.WriteLine, cancellationToken: TestContext.Current.CancellationToken);
        output.WriteLine(result.Output);
        Assert.True(result.Succeeded, $"{Path.GetFileName(program)} {string.Join(' ', arguments)} ended with {result.ExitCode}:\n{result.Tail(80)}");
    }
}
