using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.ApplicationModel
{
    public class PostgresServerResource(string name) : ContainerResource(name), IResourceWithConnectionString
    {
        public ReferenceExpression ConnectionStringExpression => throw ContainersAreNotSupported.Exception("AddPostgres");
    }

    public class PostgresDatabaseResource(string name, string databaseName, PostgresServerResource postgresParentResource)
        : Resource(name), IResourceWithParent<PostgresServerResource>, IResourceWithConnectionString
    {
        public string DatabaseName { get; } = databaseName;

        public PostgresServerResource Parent { get; } = postgresParentResource;

        public ReferenceExpression ConnectionStringExpression => throw ContainersAreNotSupported.Exception("AddDatabase");
    }
}

namespace Aspire.Hosting
{
    /// <summary>Descriptions of a Postgres container compile, and are refused.</summary>
    public static class PostgresBuilderExtensions
    {
        /// <exception cref="NotSupportedException">Always.</exception>
        public static IResourceBuilder<PostgresServerResource> AddPostgres(
            this IDistributedApplicationBuilder builder,
            string name,
            IResourceBuilder<ParameterResource>? userName = null,
            IResourceBuilder<ParameterResource>? password = null,
            int? port = null) => throw ContainersAreNotSupported.Exception(nameof(AddPostgres));

        /// <exception cref="NotSupportedException">Always.</exception>
        public static IResourceBuilder<PostgresDatabaseResource> AddDatabase(
            this IResourceBuilder<PostgresServerResource> builder, string name, string? databaseName = null) =>
            throw ContainersAreNotSupported.Exception(nameof(AddDatabase));

        /// <exception cref="NotSupportedException">Always.</exception>
        public static IResourceBuilder<PostgresServerResource> WithDataVolume(
            this IResourceBuilder<PostgresServerResource> builder, string? name = null, bool isReadOnly = false) =>
            throw ContainersAreNotSupported.Exception(nameof(WithDataVolume));
    }

    public static class ContainerResourceBuilderExtensions
    {
        /// <exception cref="NotSupportedException">Always.</exception>
        public static IResourceBuilder<T> WithLifetime<T>(this IResourceBuilder<T> builder, ContainerLifetime lifetime)
            where T : ContainerResource => throw ContainersAreNotSupported.Exception(nameof(WithLifetime));
    }
}
