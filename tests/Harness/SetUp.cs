using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>The set-up, for tests that start programs themselves. It is the one that AppHost uses, so its second run is short.</summary>
internal static class SetUp
{
    public static Task<ToolSet> ToolsAsync(ITestOutputHelper? output = null) =>
        Setup.RunAsync(new Progress(Say(output)), TestContext.Current.CancellationToken);

    public static Task BuildGoAsync(ITestOutputHelper? output = null) =>
        Programs.BuildGoAsync(Workspace.GoModule, "./cmd/control-plane", new Progress(Say(output)), TestContext.Current.CancellationToken);

    public static Task BuildRustAsync(ITestOutputHelper? output = null) =>
        Programs.BuildRustAsync(new Progress(Say(output)), TestContext.Current.CancellationToken);

    private static Action<string> Say(ITestOutputHelper? output) => line =>
    {
        Console.WriteLine(line);
        output?.WriteLine(line);
    };
}
