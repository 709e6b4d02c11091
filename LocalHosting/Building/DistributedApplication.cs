using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Running;
using Aspire.Hosting.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting;

/// <summary>An application of several programs, wired and run as one.</summary>
public class DistributedApplication : IHost, IAsyncDisposable
{
    private readonly IHost _host;
    private readonly EntryPointSession? _session;
    private bool _started;
    private int _disposed;

    internal DistributedApplication(IHost host, EntryPointSession? session)
    {
        _host = host;
        _session = session;
        Outcome.OwnsProcess = session is null;
    }

    public IServiceProvider Services => _host.Services;

    public ResourceNotificationService ResourceNotifications => Services.GetRequiredService<ResourceNotificationService>();

    public ResourceCommandService ResourceCommands => Services.GetRequiredService<ResourceCommandService>();

    private RunOutcome Outcome => Services.GetRequiredService<RunOutcome>();

    // The entry point of AppHost under test: its calls wait for those of the test, which owns the application.
    private EntryPointSession? EntryPoint => _session is not null && EntryPointSession.Current == _session ? _session : null;

    public static IDistributedApplicationBuilder CreateBuilder() => CreateBuilder([]);

    public static IDistributedApplicationBuilder CreateBuilder(string[] args) => CreateBuilder(new DistributedApplicationOptions { Args = args });

    public static IDistributedApplicationBuilder CreateBuilder(DistributedApplicationOptions options) => new DistributedApplicationBuilder(options);

    /// <summary>Starts what can start; the rest follows as what it waits for gets ready.</summary>
    /// <exception cref="DistributedApplicationException">Something stands in the way. Nothing was started. The message was
    /// written to the error stream already.</exception>
    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        if (EntryPoint is { } entryPoint)
        {
            await entryPoint.Started.WaitAsync(cancellationToken).ConfigureAwait(false);
            return;
        }

        try
        {
            _started = true;
            await _host.StartAsync(cancellationToken).ConfigureAwait(false);
            _session?.SetStarted();
        }
        catch (Exception e)
        {
            if (e is DistributedApplicationException)
                Outcome.Fail(e.Message);
            _session?.SetStartFailed();
            throw;
        }
    }

    /// <summary>Stops everything, those that others wait for last, and leaves no process.</summary>
    public Task StopAsync(CancellationToken cancellationToken = default) => _host.StopAsync(cancellationToken);

    /// <summary>Starts, and waits for Ctrl-C or the end of the run. What stands in the way of a run is said in one line,
    /// and the process then ends with exit code 1.</summary>
    public async Task RunAsync(CancellationToken cancellationToken = default)
    {
        if (EntryPoint is not null)
        {
            await StartAsync(cancellationToken).ConfigureAwait(false);
            await StoppingAsync(cancellationToken).ConfigureAwait(false);
            return;
        }

        try
        {
            await StartAsync(cancellationToken).ConfigureAwait(false);
            await _host.WaitForShutdownAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (DistributedApplicationException)
        {
            // It was said already, and the exit code is set.
        }
        finally
        {
            await DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <inheritdoc cref="RunAsync"/>
    public void Run() => RunAsync().GetAwaiter().GetResult();

    public void Dispose()
    {
        DisposeAsync().AsTask().GetAwaiter().GetResult();
        GC.SuppressFinalize(this);
    }

    public async ValueTask DisposeAsync()
    {
        if (EntryPoint is not null || Interlocked.Exchange(ref _disposed, 1) == 1)
            return;
        GC.SuppressFinalize(this);
        _session?.Abandon();
        try
        {
            if (_started)
                await _host.StopAsync(CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            if (_host is IAsyncDisposable disposable)
                await disposable.DisposeAsync().ConfigureAwait(false);
            else
                _host.Dispose();
        }

        if (_session is not null)
            await _session.EndOfEntryPointAsync().ConfigureAwait(false);
    }

    private async Task StoppingAsync(CancellationToken cancellationToken)
    {
        var stopping = Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping, cancellationToken);
        await Task.Delay(Timeout.Infinite, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
    }
}
