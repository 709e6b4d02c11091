using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Running;

/// <summary>Finds resources that wait for each other.</summary>
internal static class WaitCycle
{
    /// <exception cref="DistributedApplicationException">There is a circle; it is named.</exception>
    public static void Check(IEnumerable<IResource> resources)
    {
        var done = new HashSet<IResource>();
        var path = new List<IResource>();
        foreach (var resource in resources)
            Visit(resource);

        void Visit(IResource resource)
        {
            if (path.IndexOf(resource) is >= 0 and var start)
                throw new DistributedApplicationException(
                    $"Resources wait for each other: {string.Join(" -> ", path.Skip(start).Append(resource).Select(r => r.Name))}.");
            if (!done.Add(resource))
                return;
            path.Add(resource);
            foreach (var wait in resource.Annotations.OfType<WaitAnnotation>())
                Visit(wait.Resource);
            path.RemoveAt(path.Count - 1);
        }
    }
}
