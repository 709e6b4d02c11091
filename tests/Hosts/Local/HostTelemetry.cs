using Hybrid.Telemetry;
using Hybrid.Telemetry.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Hybrid.Tests;

/// <summary>What the host has received over OTLP.</summary>
internal static class HostTelemetry
{
    public static TelemetryStore Of(DistributedApplication app) => app.Services.GetRequiredService<TelemetryStore>();
}
