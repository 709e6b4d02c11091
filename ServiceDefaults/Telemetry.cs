using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Hybrid.ServiceDefaults;

/// <summary>Traces, metrics and logs.</summary>
internal static class Telemetry
{
    private const string Endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";

    public static void ConfigureOpenTelemetry(this IHostApplicationBuilder builder)
    {
        builder.Logging.AddOpenTelemetry(logging =>
        {
            logging.IncludeFormattedMessage = true;
            logging.IncludeScopes = true;
        });
        // An id for each run of the program, unless OTEL_RESOURCE_ATTRIBUTES names one: without it a backend would take the metrics of
        // two instances for those of one.
        KeyValuePair<string, object> instance = new("service.instance.id", Guid.NewGuid().ToString());
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddAttributes([instance]).AddEnvironmentVariableDetector())
            .WithMetrics(metrics => metrics
                .AddAspNetCoreInstrumentation()
                .AddHttpClientInstrumentation()
                .AddRuntimeInstrumentation()
                .AddMeter(builder.Environment.ApplicationName))
            .WithTracing(tracing => tracing
                .AddSource(builder.Environment.ApplicationName)
                .AddAspNetCoreInstrumentation(web => web.Filter = context => IsWorthTracing(context.Request.Path))
                .AddHttpClientInstrumentation());
        if (!string.IsNullOrWhiteSpace(builder.Configuration[Endpoint]))
            telemetry.UseOtlpExporter();
    }

    // A program that receives telemetry must not send some about that, which would be received in turn, without end.
    private static bool IsWorthTracing(PathString path) =>
        !Health.IsHealthPath(path) && !path.Value!.StartsWith("/opentelemetry.proto.collector.", StringComparison.Ordinal);
}
