using Hybrid.Toolchain;

namespace Hybrid.AppHost.Hosting.Kafka;

/// <summary>
/// A Kafka as a process of this machine: a single node from jars, broker and controller in one, its data folder formatted once; where
/// there is none, the in-memory stand-in.
/// </summary>
/// <param name="folder">Holds the data and the configuration files.</param>
internal sealed class NativeKafka(string folder)
{
    private readonly string data = Path.Combine(folder, "data");

    /// <summary>Whether the stand-in serves. Known once it is prepared.</summary>
    public bool IsStandIn { get; private set; }

    /// <summary>Chooses the server, and makes its folder ready.</summary>
    /// <returns>The command line that serves it on <paramref name="port"/> of loopback.</returns>
    /// <exception cref="SetupException">The folder could not be formatted.</exception>
    public async Task<string[]> PrepareAsync(int port, int controllerPort, Progress progress, CancellationToken cancellationToken)
    {
        var choice = await Setup.KafkaAsync(progress, cancellationToken);
        // Like every program of this clone the stand-in is built before its first start, but not when it comes back from a crash.
        if (choice.Distribution is null && !IsStandIn)
            await Programs.BuildRustAsync(progress, cancellationToken);
        IsStandIn = choice.Distribution is null;
        if (choice.Distribution is { } kafka)
        {
            progress.Say($"Kafka: native server, {kafka.Libraries} ({kafka.Origin}), data in {folder}");
            return await PrepareAsync(kafka, port, controllerPort, cancellationToken);
        }
        progress.Say($"WARNING: Kafka is replaced by the in-memory stand-in (librdkafka's mock cluster). {choice.WhyNot}");
        progress.Say("WARNING: Its records do not survive a stop or a crash of it, each partition keeps only its newest 5 MB, and it has no transactions: a killed metering may count its last batch twice");
        return [Programs.KafkaStandIn, $"{port}"];
    }

    private async Task<string[]> PrepareAsync(KafkaDistribution kafka, int port, int controllerPort, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(folder);
        var properties = Path.Combine(folder, "server.properties");
        var logging = Path.Combine(folder, "log4j2.yaml");
        await File.WriteAllTextAsync(properties, await ServerPropertiesAsync(port, controllerPort, cancellationToken), cancellationToken);
        await File.WriteAllTextAsync(logging, Logging, cancellationToken);

        string[] java = [kafka.Java, "-XX:TieredStopAtLevel=1", $"-Dlog4j2.configurationFile={logging}", "-cp", Path.Combine(kafka.Libraries, "*")];
        if (!File.Exists(Path.Combine(data, "meta.properties")))
        {
            string[] format = [.. java, "kafka.tools.StorageTool", "format", "--standalone", "-t", ClusterId(), "-c", properties];
            var result = await Subprocess.RunAsync(format[0], format[1..], cancellationToken: cancellationToken);
            if (!result.Succeeded)
                throw new SetupException($"Kafka's data folder {data} could not be formatted:\n{result.Tail()}");
        }
        return [.. java, "-Xmx384m", "-XX:+UseSerialGC", "kafka.Kafka", properties];
    }

    /// <summary>Kafka's form of a UUID: 22 characters of URL-safe base64; one that begins with a dash would look like an option.</summary>
    private static string ClusterId() => Convert.ToBase64String(Guid.NewGuid().ToByteArray()).TrimEnd('=').Replace('+', 'x').Replace('/', 'x').Replace('-', 'x');

    private async Task<string> ServerPropertiesAsync(int port, int controllerPort, CancellationToken cancellationToken)
    {
        var template = typeof(NativeKafka).Assembly.GetManifestResourceStream("server.properties")
            ?? throw new InvalidOperationException("server.properties is not part of the assembly");
        using var reader = new StreamReader(template);
        return (await reader.ReadToEndAsync(cancellationToken))
            .Replace("{broker}", $"127.0.0.1:{port}", StringComparison.Ordinal)
            .Replace("{controller}", $"127.0.0.1:{controllerPort}", StringComparison.Ordinal)
            .Replace("{data}", data, StringComparison.Ordinal);
    }

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
