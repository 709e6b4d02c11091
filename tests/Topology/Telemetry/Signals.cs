using System.Text.RegularExpressions;
using OpenTelemetry.Proto.Trace.V1;
using static Hybrid.Tests.Topology.Telemetry.MetricType;
using static OpenTelemetry.Proto.Trace.V1.Span.Types.SpanKind;

namespace Hybrid.Tests.Topology.Telemetry;

/// <summary>The type of a metric as OTLP has it. Sums and histograms are cumulative.</summary>
internal enum MetricType
{
    Gauge,
    Counter,
    UpDownCounter,
    ExponentialHistogram,
}

/// <summary>A row of the table.</summary>
/// <param name="Service">The service; <c>data-plane</c> means each node of it.</param>
/// <param name="Attributes">What every such signal carries. <c>a|b</c> is satisfied by either.</param>
internal abstract record Signal(string Service, string[] Attributes)
{
    /// <summary>The services that must emit it, by the names that they give themselves.</summary>
    public IEnumerable<string> Services => RunningTopology.Services.Where(name => name == Service || name.StartsWith(Service + "-", StringComparison.Ordinal));
}

/// <summary>Spans that a service emits.</summary>
/// <param name="Name">Regular expression for the whole name.</param>
/// <param name="Examples">Names among them that must have arrived.</param>
internal sealed record SpanSignal(string Service, string Name, Span.Types.SpanKind Kind, string[] Attributes, params string[] Examples) : Signal(Service, Attributes)
{
    private readonly Regex name = new($"^(?:{Name})$");

    public bool Describes(Span span) => span.Kind == Kind && name.IsMatch(span.Name);
}

/// <summary>A metric that a service emits.</summary>
/// <param name="Unit">Its unit, in UCUM.</param>
internal sealed record MetricSignal(string Service, string Name, string Unit, MetricType Type, params string[] Attributes) : Signal(Service, Attributes)
{
    /// <summary>Whether it must have arrived. One that counts outages arrives only after an outage.</summary>
    public bool Always { get; init; } = true;
}

/// <summary>A log record that a service emits.</summary>
/// <param name="Body">Its text.</param>
/// <param name="Severity">Its severity text, in capitals.</param>
/// <param name="Traced">Whether it belongs to a trace.</param>
internal sealed record LogSignal(string Service, string Body, string Severity, bool Traced, params string[] Attributes) : Signal(Service, Attributes);

/// <summary>
/// Which signals each service must emit. <see cref="SignalTests"/> checks each row, and that no signal of the system's own
/// arrives that has no row.
/// </summary>
internal static class Signals
{
    private const string ControlPlane = "control-plane";
    private const string DataPlane = "data-plane";
    private const string Metering = "metering";

    /// <summary>What every signal says of the process that sent it.</summary>
    public static readonly string[] Resource =
    [
        "service.name", "service.version", "service.instance.id", "host.name", "process.pid",
        "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version",
    ];

    private static readonly string[] HttpServer =
        ["http.request.method", "http.response.status_code", "url.path", "url.scheme", "server.address", "server.port"];

    private static readonly string[] RoutedHttpServer = [.. HttpServer, "http.route"];

    // The second name of a pair is the one that the conventions had before they became stable.
    private static readonly string[] RpcServer =
        ["rpc.system.name|rpc.system", "rpc.method", "rpc.response.status_code|rpc.grpc.status_code", "server.address", "server.port"];

    private static readonly string[] DatabaseClient =
        ["db.system.name", "db.namespace", "db.operation.name", "server.address", "server.port"];

    private static readonly string[] Messaging =
        ["messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.name"];

    public static readonly SpanSignal[] Spans =
    [
        new(ControlPlane, "(GET|POST|PUT|DELETE) /v1/[a-z-]+(/[a-z-]+)?(/{[a-z_.]+})*", Server, RoutedHttpServer,
            "POST /v1/items", "GET /v1/items/{sku}", "GET /v1/items", "PUT /v1/items/{item.sku}", "DELETE /v1/items/{sku}",
            "GET /v1/fleet/nodes", "GET /v1/ledger/totals"),
        new(ControlPlane, "GET /openapi.json", Server, RoutedHttpServer, "GET /openapi.json"),
        new(ControlPlane, "[A-Z]+", Server, HttpServer, "GET"),
        new(ControlPlane, @"hybrid\.(catalog|fleet|usage|snapshot)\.v1\.[A-Za-z]+Service/[A-Za-z]+", Server, RpcServer,
            "hybrid.catalog.v1.CatalogService/CreateItem", "hybrid.catalog.v1.CatalogService/GetItem",
            "hybrid.fleet.v1.FleetService/ListNodes", "hybrid.usage.v1.LedgerService/GetTotals",
            "hybrid.snapshot.v1.SnapshotService/StreamSnapshot"),
        new(ControlPlane, "(SELECT|INSERT|UPDATE|DELETE|WITH)( [a-z_.]+)?", Client, [.. DatabaseClient, "db.query.text"], "SELECT item", "INSERT item"),
        new(ControlPlane, "BEGIN|COMMIT|ROLLBACK", Client, [.. DatabaseClient, "db.query.text"], "BEGIN", "COMMIT"),
        new(ControlPlane, "BATCH", Client, [.. DatabaseClient, "db.query.text"], "BATCH"),
        new(ControlPlane, "COPY [a-z_.]+", Client, [.. DatabaseClient, "db.collection.name"], "COPY ledger_entry"),
        new(ControlPlane, @"process hybrid\.usage\.v1", Consumer,
            [.. Messaging, "messaging.destination.partition.id", "messaging.kafka.offset"], "process hybrid.usage.v1"),

        new(DataPlane, @"hybrid\.pricing\.v1\.PricingService/(Quote|QuoteStream)", Server, RpcServer,
            "hybrid.pricing.v1.PricingService/Quote", "hybrid.pricing.v1.PricingService/QuoteStream"),
        new(DataPlane, "[A-Z]+ /v1/quotes", Server, RoutedHttpServer, "POST /v1/quotes", "GET /v1/quotes"),
        new(DataPlane, "[A-Z]+", Server, HttpServer, "GET"),
        new(DataPlane, @"publish hybrid\.quotes\.v1", Producer, [.. Messaging, "messaging.message.id", "messaging.kafka.message.key"],
            "publish hybrid.quotes.v1"),

        new(Metering, @"process hybrid\.quotes\.v1", Consumer, [.. Messaging, "messaging.consumer.group.name", "messaging.batch.message_count"],
            "process hybrid.quotes.v1"),
    ];

    public static readonly MetricSignal[] Metrics =
    [
        new(ControlPlane, "http.server.request.duration", "s", ExponentialHistogram, "http.request.method", "http.response.status_code", "url.scheme"),
        new(ControlPlane, "rpc.server.call.duration", "s", ExponentialHistogram, "rpc.system.name|rpc.system", "rpc.method", "rpc.response.status_code"),
        new(ControlPlane, "db.client.operation.duration", "s", ExponentialHistogram, DatabaseClient),
        new(ControlPlane, "db.client.connection.count", "{connection}", UpDownCounter, "db.client.connection.pool.name", "db.client.connection.state"),
        new(ControlPlane, "db.client.connection.max", "{connection}", UpDownCounter, "db.client.connection.pool.name"),
        new(ControlPlane, "db.client.connection.timeouts", "{timeout}", Counter, "db.client.connection.pool.name"),
        new(ControlPlane, "hybrid.snapshot.version", "{version}", Gauge),
        new(ControlPlane, "hybrid.snapshot.size", "{resource}", Gauge),
        new(ControlPlane, "hybrid.snapshot.streams", "{stream}", Gauge),
        new(ControlPlane, "hybrid.snapshot.streams.behind", "{version}", Gauge),
        new(ControlPlane, "hybrid.snapshot.updates", "{update}", Counter, "authoritative"),
        new(ControlPlane, "hybrid.snapshot.resources", "{resource}", Counter),
        new(ControlPlane, "hybrid.snapshot.rejects", "{resource}", Counter),
        new(ControlPlane, "hybrid.snapshot.streams.ended", "{stream}", Counter, "cause"),
        new(ControlPlane, "hybrid.snapshot.convergence", "s", ExponentialHistogram),
        new(ControlPlane, "hybrid.fleet.nodes", "{node}", Gauge, "hybrid.node.connected"),
        new(ControlPlane, "hybrid.fleet.node.applied_version", "{version}", Gauge, "hybrid.node.id"),
        new(ControlPlane, "hybrid.fleet.node.config_age", "s", Gauge, "hybrid.node.id"),
        new(ControlPlane, "hybrid.fleet.node.rejects", "{resource}", Gauge, "hybrid.node.id"),
        new(ControlPlane, "hybrid.connections.refused", "{connection}", Counter),
        new(ControlPlane, "hybrid.outbox.lag", "{message}", Gauge),
        new(ControlPlane, "hybrid.outbox.published", "{message}", Counter),
        new(ControlPlane, "hybrid.ledger.lag", "{record}", Gauge),
        new(ControlPlane, "hybrid.ledger.records", "{record}", Counter),
        new(ControlPlane, "hybrid.ledger.entries", "{entry}", Counter),
        new(ControlPlane, "hybrid.ledger.dead_letters", "{record}", Counter),
        new(ControlPlane, "hybrid.retries", "{attempt}", Counter) { Always = false },
        new(ControlPlane, "hybrid.telemetry.export.failures", "{export}", Counter) { Always = false },

        new(DataPlane, "rpc.server.call.duration", "s", ExponentialHistogram, "rpc.system.name", "rpc.method", "rpc.response.status_code"),
        new(DataPlane, "http.server.request.duration", "s", ExponentialHistogram, "http.request.method", "http.response.status_code", "url.scheme"),
        new(DataPlane, "hybrid.snapshot.applied_version", "{version}", Gauge),
        new(DataPlane, "hybrid.snapshot.offered_version", "{version}", Gauge),
        new(DataPlane, "hybrid.snapshot.config_age", "s", Gauge),
        new(DataPlane, "hybrid.snapshot.rejected", "{resource}", Gauge),
        new(DataPlane, "hybrid.connections.refused", "{connection}", Counter),
        new(DataPlane, "hybrid.snapshot.rejects", "{resource}", Counter),
        new(DataPlane, "hybrid.discounts.suspended", "1", Gauge),
        new(DataPlane, "hybrid.quotes.events.queued", "{event}", Counter),
        new(DataPlane, "hybrid.quotes.events.delivered", "{event}", Counter),
        new(DataPlane, "hybrid.quotes.events.shed", "{event}", Counter),
        new(DataPlane, "hybrid.quotes.events.failed", "{event}", Counter),
        new(DataPlane, "hybrid.quotes.events.queue_depth", "{event}", Gauge),
        new(DataPlane, "hybrid.telemetry.spans.dropped", "{record}", Counter),
        new(DataPlane, "hybrid.telemetry.logs.dropped", "{record}", Counter),

        new(Metering, "hybrid.metering.lag", "{event}", Gauge),
        new(Metering, "hybrid.metering.events.processed", "{event}", Counter),
        new(Metering, "hybrid.metering.events.dead_lettered", "{event}", Counter),
        new(Metering, "hybrid.metering.events.missing", "{event}", Counter),
        new(Metering, "hybrid.metering.windows", "{record}", Counter),
        new(Metering, "hybrid.metering.transactions.committed", "{transaction}", Counter),
        new(Metering, "hybrid.metering.transactions.aborted", "{transaction}", Counter),
        new(Metering, "hybrid.metering.transaction.duration", "s", ExponentialHistogram),
        new(Metering, "hybrid.telemetry.spans.dropped", "{record}", Counter),
        new(Metering, "hybrid.telemetry.logs.dropped", "{record}", Counter),
    ];

    public static readonly LogSignal[] Logs =
    [
        new(ControlPlane, "listening", "INFO", Traced: false, "http", "grpc"),
        new(ControlPlane, "node connected", "INFO", Traced: true, "node_id", "software_version", "held_version"),
        new(ControlPlane, "node rejected a resource", "WARN", Traced: true, "resource", "version", "field", "code", "text"),
        new(ControlPlane, "a usage record cannot be read; it was published as a dead letter", "WARN", Traced: true, "topic", "partition", "offset", "reason"),
        new(DataPlane, "serving", "INFO", Traced: false, "node", "grpc", "http"),
        new(Metering, "metering", "INFO", Traced: false, "instance", "http"),
        new(Metering, "a record goes to the dead letters", "WARN", Traced: true, "partition", "offset", "reason"),
    ];
}
