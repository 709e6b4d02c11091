using Microsoft.Extensions.Configuration;

namespace Aspire.Hosting.Running;

/// <summary>How long a process may take to end after it was asked to: <c>LocalHosting:StopGrace</c> in seconds, or 15.</summary>
internal sealed class StopGrace(IConfiguration configuration)
{
    private const double DefaultSeconds = 15;

    public TimeSpan Value { get; } = TimeSpan.FromSeconds(configuration.GetValue<double?>("LocalHosting:StopGrace") ?? DefaultSeconds);
}
