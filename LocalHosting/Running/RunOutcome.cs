using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.ConsoleView;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Running;

/// <summary>Whether the run has failed as a whole, and why. It is said once, in one line.</summary>
internal sealed class RunOutcome(HostLog log, ResourceNotificationService notifications, IHostApplicationLifetime lifetime)
{
    private string? _failure;

    /// <summary>Whether the process is this run's own, so that its exit code may tell. It is not under test.</summary>
    public bool OwnsProcess { get; set; }

    /// <summary>One line for the person who started the run; null while all is well.</summary>
    public string? Failure => _failure;

    /// <summary>Ends the run, and makes the exit code 1. The first reason counts.</summary>
    public void Fail(string reason)
    {
        if (Interlocked.CompareExchange(ref _failure, reason, null) is not null)
            return;
        log.SayFailure(reason);
        if (OwnsProcess)
            Environment.ExitCode = 1;
        notifications.Complete(reason);
        lifetime.StopApplication();
    }
}
