using Hybrid.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Microsoft.Extensions.Hosting;

/// <summary>What every .NET program of the system has: telemetry, health, resilience, and finding others by name.</summary>
public static class Extensions
{
    /// <summary>Adds it all. Telemetry goes to <c>OTEL_EXPORTER_OTLP_ENDPOINT</c>; it goes nowhere when that is unset.</summary>
    public static TBuilder AddServiceDefaults<TBuilder>(this TBuilder builder)
        where TBuilder : IHostApplicationBuilder
    {
        builder.ConfigureOpenTelemetry();
        builder.Services.AddHealthChecks();
        builder.Services.AddServiceDiscovery();
        builder.Services.ConfigureHttpClientDefaults(http =>
        {
            http.AddStandardResilienceHandler();
            http.AddServiceDiscovery();
        });
        return builder;
    }

    /// <summary>
    /// Maps <c>GET /livez</c> (200 while the process can answer at all) and <c>GET /readyz</c> (200 when it can do its work, else
    /// 503; it names what is pending). Each health check with the tag <c>ready</c> is a task of it.
    /// </summary>
    public static WebApplication MapDefaultEndpoints(this WebApplication app)
    {
        app.MapGet("/livez", () => Results.Json(new { status = "alive" }));
        app.MapGet("/readyz", Health.ReadyAsync);
        return app;
    }
}
