namespace Hybrid.Telemetry.Model;

/// <summary>Names a series: one metric of one program with one set of attributes.</summary>
public sealed record MetricIdentity(TelemetrySource Source, string Scope, string Name, AttributeCollection Attributes)
{
    // The sources of one program are equal in what names them; comparing all their attributes would only cost.
    public bool Equals(MetricIdentity? other) => other is not null
        && Name == other.Name
        && Scope == other.Scope
        && Source.ServiceName == other.Source.ServiceName
        && Source.InstanceId == other.Source.InstanceId
        && Attributes.Equals(other.Attributes);

    public override int GetHashCode() => HashCode.Combine(Name, Scope, Source.ServiceName, Source.InstanceId, Attributes);
}

/// <summary>The recent points of a series.</summary>
/// <param name="Identity">Which series.</param>
/// <param name="Unit">UCUM.</param>
/// <param name="Description">For people.</param>
/// <param name="IsMonotonic">Whether it is a sum that only grows.</param>
/// <param name="IsDelta">Whether each point counts only since the one before.</param>
/// <param name="Points">The latest points, oldest first.</param>
public sealed record MetricSeries(
    MetricIdentity Identity, string Unit, string Description, bool IsMonotonic, bool IsDelta, IReadOnlyList<MetricPoint> Points)
{
    public MetricPoint Latest => Points[^1];
}
