using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Running;

/// <summary>All runners of the application.</summary>
internal sealed class Runners : IDisposable
{
    private readonly List<Runner> _all = [];

    public IReadOnlyList<Runner> All => _all;

    public void Add(Runner runner) => _all.Add(runner);

    public void Dispose() => _all.ForEach(r => r.Dispose());

    public IEnumerable<Runner> Of(IResource resource) => _all.Where(r => r.Instance.Resource == resource);

    /// <summary>Those of a resource, or the one of an instance.</summary>
    public IReadOnlyList<Runner> Find(string name) => [.. _all.Where(r =>
        string.Equals(r.Instance.Resource.Name, name, StringComparison.OrdinalIgnoreCase)
        || string.Equals(r.Instance.Id, name, StringComparison.OrdinalIgnoreCase))];
}
