using System.Globalization;
using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Running;

/// <summary>One of the processes of a resource: there are several where it has replicas.</summary>
internal sealed record ResourceInstance(IResource Resource, string Id, int Replica)
{
    public static IEnumerable<ResourceInstance> Of(IResource resource)
    {
        var replicas = resource.TryGetLastAnnotation<ReplicaAnnotation>(out var r) ? r.Replicas : 1;
        return Enumerable.Range(0, replicas).Select(i => new ResourceInstance(
            resource, replicas == 1 ? resource.Name : string.Create(CultureInfo.InvariantCulture, $"{resource.Name}-{i + 1}"), i));
    }
}
