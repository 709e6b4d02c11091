namespace Hybrid.Tests;

/// <summary>The process behind a resource.</summary>
internal static class ResourceProcess
{
    /// <summary>Aspire's orchestrator does not start a killed executable again, so there is nothing to wait for.</summary>
    public static Task KillAndWaitForReturnAsync(DistributedApplication app, string resource)
    {
        Assert.Skip("Aspire does not restart executables; LocalHosting does, and is tested for it.");
        return Task.CompletedTask;
    }
}
