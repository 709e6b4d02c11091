namespace Hybrid.AppHost.Running;

/// <summary>The first failure that no retry mends: a missing tool, a broken data folder, a refused setting.</summary>
internal sealed class StartFailure
{
    private readonly TaskCompletionSource<string> first = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes with a line for people when a start has failed for good.</summary>
    public Task<string> First => first.Task;

    public void Report(IResource resource, string message) => first.TrySetResult($"{resource.Name}: {message}");
}
