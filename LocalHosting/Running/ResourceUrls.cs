using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Running;

/// <summary>The addresses of a resource as they are shown.</summary>
internal static class ResourceUrls
{
    public static IReadOnlyList<UrlSnapshot> Of(ResourceInstance instance)
    {
        var urls = new List<UrlSnapshot>();
        foreach (var endpoint in instance.Resource.Annotations.OfType<EndpointAnnotation>())
        {
            var url = new ResourceUrlAnnotation
            {
                Url = EndpointAllocator.UrlsOf(endpoint).ElementAt(instance.Replica),
                Endpoint = new EndpointReference((IResourceWithEndpoints)instance.Resource, endpoint.Name),
            };
            foreach (var change in instance.Resource.Annotations.OfType<EndpointUrlCallbackAnnotation>()
                .Where(c => string.Equals(c.EndpointName, endpoint.Name, StringComparison.OrdinalIgnoreCase)))
                change.Callback(url);
            // A path alone is meant from the endpoint's address on.
            var full = url.Url.StartsWith('/') ? EndpointAllocator.UrlsOf(endpoint).ElementAt(instance.Replica) + url.Url : url.Url;
            urls.Add(new UrlSnapshot(url.DisplayText ?? endpoint.Name, full, IsInternal: false));
        }

        urls.AddRange(instance.Resource.Annotations.OfType<ResourceUrlAnnotation>().Select(u => new UrlSnapshot(u.DisplayText, u.Url, IsInternal: false)));
        return urls;
    }
}
