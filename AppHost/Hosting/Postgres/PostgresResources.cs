using Hybrid.AppHost.Hosting.Postgres;

namespace Aspire.Hosting;

/// <summary>A Postgres server as a process of this machine.</summary>
/// <param name="name">Name of the resource.</param>
/// <param name="workingDirectory">Where the process runs.</param>
public sealed class NativePostgresResource(string name, string workingDirectory)
    : ExecutableResource(name, NativeCommand.Launcher, workingDirectory), IResourceWithEndpoints
{
    internal const string PrimaryEndpointName = "tcp";

    /// <summary>Where host processes reach the server.</summary>
    public EndpointReference PrimaryEndpoint => field ??= new(this, PrimaryEndpointName);
}

/// <summary>The catalog's database on a native server.</summary>
public sealed class NativePostgresDatabaseResource : Resource, IResourceWithConnectionString, IResourceWithParent<NativePostgresResource>
{
    private readonly Func<string> password;

    internal NativePostgresDatabaseResource(string name, NativePostgresResource server, Func<string> password) : base(name)
    {
        Parent = server;
        this.password = password;
    }

    /// <summary>The server.</summary>
    public NativePostgresResource Parent { get; }

    /// <summary>The connection string in the form of Npgsql.</summary>
    public ReferenceExpression ConnectionStringExpression => ReferenceExpression.Create(
        $"Host={Host};Port={Port};Username={NativePostgres.User};Password={password()};Database={NativePostgres.Database}");

    private EndpointReferenceExpression Host => Parent.PrimaryEndpoint.Property(EndpointProperty.IPV4Host);

    private EndpointReferenceExpression Port => Parent.PrimaryEndpoint.Property(EndpointProperty.Port);

    IEnumerable<KeyValuePair<string, ReferenceExpression>> IResourceWithConnectionString.GetConnectionProperties() =>
    [
        new("Host", ReferenceExpression.Create($"{Host}")),
        new("Port", ReferenceExpression.Create($"{Port}")),
        new("Username", ReferenceExpression.Create($"{NativePostgres.User}")),
        new("Password", ReferenceExpression.Create($"{password()}")),
        new("DatabaseName", ReferenceExpression.Create($"{NativePostgres.Database}")),
        new("Uri", ReferenceExpression.Create($"postgresql://{NativePostgres.User}:{password()}@{Host}:{Port}/{NativePostgres.Database}")),
    ];
}
