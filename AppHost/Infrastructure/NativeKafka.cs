using Hybrid.Toolchain;

namespace Hybrid.AppHost.Infrastructure;

/// <summary>A single-node Kafka from jars: its data folder formatted, and the command that runs it.</summary>
internal sealed record NativeKafka(string Command, string[] Arguments, string DataFolder)
{
    public static NativeKafka Prepare(Preparation prepared)
    {
        var kafka = prepared.Tools.Kafka.Distribution ?? throw new InvalidOperationException("There is no Kafka to prepare.");
        var folder = prepared.State.FolderOf("kafka");
        var data = Path.Combine(folder, "data");
        var properties = Path.Combine(folder, "server.properties");
        var logging = Path.Combine(folder, "log4j2.yaml");
        File.WriteAllText(properties, ServerProperties(prepared.Ports, data));
        File.WriteAllText(logging, Logging);

        var classes = Path.Combine(kafka.Libraries, "*");
        if (!File.Exists(Path.Combine(data, "meta.properties")))
        {
            var format = Subprocess.RunAsync(
                kafka.Java,
                ["-XX:TieredStopAtLevel=1", $"-Dlog4j2.configurationFile={logging}", "-cp", classes, "kafka.tools.StorageTool", "format", "--standalone",
                    "-t", ClusterId(), "-c", properties]).GetAwaiter().GetResult();
            if (!format.Succeeded)
                throw new SetupException($"Kafka's data folder could not be formatted:\n{format.Tail()}");
        }
        return new NativeKafka(
            kafka.Java,
            ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", $"-Dlog4j2.configurationFile={logging}", "-cp", classes, "kafka.Kafka", properties],
            folder);
    }

    private static string ClusterId() => Convert.ToBase64String(Guid.NewGuid().ToByteArray()).TrimEnd('=').Replace('+', 'x').Replace('/', 'x').Replace('-', 'x');

    // Replication 1 everywhere: a single node. The short session timeout lets a killed broker come back in seconds: it waits
    // for its old registration to expire.
    private static string ServerProperties(Ports ports, string data) =>
        $"""
        process.roles=broker,controller
        node.id=1
        controller.quorum.bootstrap.servers=127.0.0.1:{ports.KafkaController}
        listeners=PLAINTEXT://127.0.0.1:{ports.Kafka},CONTROLLER://127.0.0.1:{ports.KafkaController}
        advertised.listeners=PLAINTEXT://127.0.0.1:{ports.Kafka}
        controller.listener.names=CONTROLLER
        listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
        log.dirs={data.Replace('\\', '/')}
        offsets.topic.replication.factor=1
        offsets.topic.num.partitions=4
        transaction.state.log.replication.factor=1
        transaction.state.log.min.isr=1
        transaction.state.log.num.partitions=4
        share.coordinator.state.topic.replication.factor=1
        share.coordinator.state.topic.min.isr=1
        group.initial.rebalance.delay.ms=0
        broker.session.timeout.ms=2000
        broker.heartbeat.interval.ms=500
        auto.create.topics.enable=false

        """;

    private const string Logging =
        """
        Configuration:
          status: ERROR
          Appenders:
            Console:
              name: stdout
              PatternLayout:
                pattern: "%p %c{1}: %m%n"
          Loggers:
            Root:
              level: WARN
              AppenderRef:
                ref: stdout

        """;
}
