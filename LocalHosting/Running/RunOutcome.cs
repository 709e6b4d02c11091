using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.ConsoleView;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Running;

/// <summary>Whether the run has failed as a whole, and why.</summary>
internal sealed class RunOutcome(HostLog log, ConsoleOutput console, ResourceNotificationService notifications, IHostApplicationLifetime lifetime)
{
    private string? _failure;

    /// <summary>One line for the person who started the run; null while all is well.</summary>
    public string? Failure => _failure;

    /// <summary>Ends the run. The first reason counts.</summary>
    public void Fail(string reason)
    {
        if (Interlocked.CompareExchange(ref _failure, reason, null) is not null)
            return;
        log.Say(reason);
        if (console.IsQuiet)
            Console.Error.WriteLine(reason);
        notifications.Complete(reason);
        lifetime.StopApplication();
    }
}
