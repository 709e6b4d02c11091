using System.Globalization;
using Microsoft.Extensions.Hosting;

namespace Aspire.Hosting.Running;

/// <summary>The variables that make a program send its telemetry to the host.</summary>
internal sealed class OtlpSettings(IHostEnvironment hostEnvironment)
{
    /// <summary>Where the host receives telemetry; null when it does not.</summary>
    public Uri? Endpoint { get; set; }

    public void AddEnvironment(string resourceName, IDictionary<string, object> variables)
    {
        if (Endpoint is null)
            return;
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = Endpoint.ToString().TrimEnd('/');
        variables["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc";
        variables["OTEL_SERVICE_NAME"] = resourceName;
        variables["OTEL_RESOURCE_ATTRIBUTES"] = string.Create(CultureInfo.InvariantCulture, $"service.instance.id={Random.Shared.Next():x8}");
        if (!hostEnvironment.IsDevelopment())
            return;
        // A person is looking: send each second, and everything.
        variables["OTEL_BSP_SCHEDULE_DELAY"] = "1000";
        variables["OTEL_BLRP_SCHEDULE_DELAY"] = "1000";
        variables["OTEL_METRIC_EXPORT_INTERVAL"] = "1000";
        variables["OTEL_TRACES_SAMPLER"] = "always_on";
    }
}
