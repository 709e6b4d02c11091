using Hybrid.Telemetry.Store;

namespace Hybrid.Tests;

/// <summary>What the host has received over OTLP.</summary>
internal static class HostTelemetry
{
    /// <summary>Under Aspire telemetry goes to its dashboard, which offers no such query.</summary>
    public static TelemetryStore Of(DistributedApplication app)
    {
        Assert.Skip("Under Aspire telemetry goes to the dashboard; LocalHosting's receiver can be asked, and is.");
        return new TelemetryStore();
    }
}
