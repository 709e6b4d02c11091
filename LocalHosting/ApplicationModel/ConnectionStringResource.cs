namespace Aspire.Hosting.ApplicationModel;

/// <summary>A connection string made of other values, or taken from the configuration.</summary>
public class ConnectionStringResource(string name, ReferenceExpression connectionStringExpression)
    : Resource(name), IResourceWithConnectionString, IResourceWithWaitSupport
{
    public ReferenceExpression ConnectionStringExpression { get; } = connectionStringExpression;

    public string? ConnectionStringEnvironmentVariable { get; init; }
}
