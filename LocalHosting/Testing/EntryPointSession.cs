using System.Reflection;
using System.Runtime.ExceptionServices;

namespace Aspire.Hosting.Testing;

/// <summary>Runs the entry point of an AppHost on a thread of its own, and makes it wait for the test at each step.</summary>
internal sealed class EntryPointSession
{
    private static readonly AsyncLocal<EntryPointSession?> s_current = new();
    private static readonly TimeSpan s_endTimeout = TimeSpan.FromMinutes(1);

    private readonly TaskCompletionSource<DistributedApplicationBuilder> _atBuild = NewSource<DistributedApplicationBuilder>();
    private readonly TaskCompletionSource _mayBuild = NewSource();
    private readonly TaskCompletionSource<DistributedApplication> _built = NewSource<DistributedApplication>();
    private readonly TaskCompletionSource _started = NewSource();
    private readonly TaskCompletionSource<Exception?> _ended = NewSource<Exception?>();
    private DistributedApplicationBuilder? _builder;
    private volatile bool _abandoned;

    private EntryPointSession(Assembly assembly) => Assembly = assembly;

    /// <summary>The session of the entry point in whose flow the caller is; null outside of any.</summary>
    public static EntryPointSession? Current => s_current.Value;

    public Assembly Assembly { get; }

    /// <summary>Completes when the test has started the application.</summary>
    public Task Started => _started.Task;

    /// <summary>Begins, and comes back when the entry point is about to build the application.</summary>
    public static async Task<(EntryPointSession Session, DistributedApplicationBuilder Builder)> BeginAsync(
        Assembly assembly, string[] args, CancellationToken cancellationToken)
    {
        var entryPoint = assembly.EntryPoint
            ?? throw new InvalidOperationException($"{assembly.GetName().Name} has no entry point.");
        var session = new EntryPointSession(assembly);
        var thread = new Thread(() => session.Run(entryPoint, args)) { IsBackground = true, Name = $"entry point of {assembly.GetName().Name}" };
        thread.Start();
        try
        {
            return (session, await session._atBuild.Task.WaitAsync(cancellationToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            session.Abandon();
            throw;
        }
    }

    /// <summary>Lets the entry point build.</summary>
    public Task<DistributedApplication> BuildAsync(CancellationToken cancellationToken)
    {
        _mayBuild.TrySetResult();
        return _built.Task.WaitAsync(cancellationToken);
    }

    /// <summary>The test does not want to go on: whatever the entry point waits for ends.</summary>
    public void Abandon()
    {
        _abandoned = true;
        _mayBuild.TrySetCanceled();
        _started.TrySetCanceled();
    }

    /// <summary>Waits until the entry point has returned, and throws what it has thrown.</summary>
    public async Task EndOfEntryPointAsync()
    {
        var exception = await _ended.Task.WaitAsync(s_endTimeout).ConfigureAwait(false);
        if (exception is not null && !(_abandoned && exception is OperationCanceledException))
            ExceptionDispatchInfo.Throw(exception);
    }

    internal void Captured(DistributedApplicationBuilder builder) => _builder = builder;

    internal void WaitForBuild()
    {
        _atBuild.TrySetResult(_builder!);
        _mayBuild.Task.GetAwaiter().GetResult();
    }

    internal void Built(DistributedApplication application) => _built.TrySetResult(application);

    internal void SetStarted() => _started.TrySetResult();

    /// <summary>The test has been told why; the entry point just ends.</summary>
    internal void SetStartFailed() => Abandon();

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static TaskCompletionSource<T> NewSource<T>() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Run(MethodInfo entryPoint, string[] args)
    {
        s_current.Value = this;
        Exception? thrown = null;
        try
        {
            entryPoint.Invoke(null, BindingFlags.DoNotWrapExceptions, null, entryPoint.GetParameters().Length == 0 ? [] : [args], null);
        }
#pragma warning disable CA1031 // It is thrown again where the test waits.
        catch (Exception e)
#pragma warning restore CA1031
        {
            thrown = e;
        }

        var early = thrown ?? new InvalidOperationException($"The entry point of {Assembly.GetName().Name} ended without building an application.");
        _atBuild.TrySetException(early);
        _built.TrySetException(early);
        // Nobody may be waiting for these any more.
        _ = _atBuild.Task.Exception;
        _ = _built.Task.Exception;
        _ended.TrySetResult(thrown);
    }
}
