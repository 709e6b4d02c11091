using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>The set-up, for tests that start programs themselves. It is the one that AppHost uses, so its second run is short.</summary>
internal static class SetUp
{
    private static readonly Progress Progress = new();

    public static Task<ToolSet> ToolsAsync() => Setup.RunAsync(Progress, TestContext.Current.CancellationToken);

    public static Task BuildGoAsync() =>
        Programs.BuildGoAsync(Workspace.GoModule, "./cmd/control-plane", Progress, TestContext.Current.CancellationToken);

    public static Task BuildRustAsync() => Programs.BuildRustAsync(Progress, TestContext.Current.CancellationToken);

    /// <summary>Builds the Lab's twins, which no start of the product builds.</summary>
    public static async Task BuildTwinsAsync()
    {
        foreach (var program in (string[])["items", "pricing", "metering"])
            await Programs.BuildGoAsync(Workspace.GoTwins, $"./cmd/{program}", Progress, TestContext.Current.CancellationToken);
        await Programs.BuildRustAsync(["items-twin", "pricing-twin"], Progress, cancellationToken: TestContext.Current.CancellationToken);
    }
}
