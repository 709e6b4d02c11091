using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.ApplicationModel
{
    public class KafkaServerResource(string name) : ContainerResource(name), IResourceWithConnectionString
    {
        public ReferenceExpression ConnectionStringExpression => throw ContainersAreNotSupported.Exception("AddKafka");
    }

    public class KafkaUIContainerResource(string name) : ContainerResource(name);
}

namespace Aspire.Hosting
{
    /// <summary>Descriptions of a Kafka container compile, and are refused.</summary>
    public static class KafkaBuilderExtensions
    {
        /// <exception cref="NotSupportedException">Always.</exception>
        public static IResourceBuilder<KafkaServerResource> AddKafka(
            this IDistributedApplicationBuilder builder, string name, int? port = null) =>
            throw ContainersAreNotSupported.Exception(nameof(AddKafka));

        /// <exception cref="NotSupportedException">Always.</exception>
        public static IResourceBuilder<KafkaServerResource> WithKafkaUI(
            this IResourceBuilder<KafkaServerResource> builder,
            Action<IResourceBuilder<KafkaUIContainerResource>>? configureContainer = null,
            string? containerName = null) => throw ContainersAreNotSupported.Exception(nameof(WithKafkaUI));

        /// <exception cref="NotSupportedException">Always.</exception>
        public static IResourceBuilder<KafkaServerResource> WithDataVolume(
            this IResourceBuilder<KafkaServerResource> builder, string? name = null, bool isReadOnly = false) =>
            throw ContainersAreNotSupported.Exception(nameof(WithDataVolume));
    }
}
