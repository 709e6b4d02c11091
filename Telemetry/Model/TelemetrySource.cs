namespace Hybrid.Telemetry.Model;

/// <summary>The program that sent something: one running instance of a service.</summary>
/// <param name="ServiceName"><c>service.name</c>; <c>unknown_service</c> when it did not say.</param>
/// <param name="InstanceId"><c>service.instance.id</c>; null when it did not say.</param>
/// <param name="Attributes">Everything that it said about itself.</param>
public sealed record TelemetrySource(string ServiceName, string? InstanceId, AttributeCollection Attributes)
{
    public static TelemetrySource From(AttributeCollection attributes) =>
        new(attributes.Text("service.name") ?? "unknown_service", attributes.Text("service.instance.id"), attributes);
}
