using Hybrid.AppHost;
using Hybrid.AppHost.Infrastructure;
using Hybrid.Toolchain;

return await Launch.RunAsync(args, static (builder, prepared) =>
{
    var ports = prepared.Ports;
    var database = builder.AddCatalogDatabase("hybriddb", prepared);
    var kafka = builder.AddEventBroker("kafka", prepared);

    var controlPlane = builder.AddExecutable("control-plane", Programs.ControlPlane, prepared.State.FolderOf("control-plane"))
        .WithHttpEndpoint(ports.ControlPlaneHttp, name: "http", env: "HTTP_PORT", isProxied: false)
        .WithHttpEndpoint(ports.ControlPlaneGrpc, name: "grpc", env: "GRPC_PORT", isProxied: false).WithEndpoint("grpc", e => e.Transport = "http2")
        .WithReference(database.Connection).WaitFor(database.Server)
        .WithReference(kafka.Connection).WaitFor(kafka.Server)
        .WithEnvironment("HYBRID_KAFKA_STAND_IN", kafka.IsStandIn ? "true" : "false")
        .WithHttpHealthCheck("/readyz", endpointName: "http")
        .WithOtlpExporter();

    List<Service> dataPlanes = [];
    foreach (var (node, port) in ports.DataPlanes)
    {
        var dataPlane = builder.AddExecutable(node, Programs.DataPlane, prepared.State.FolderOf(node))
            .WithHttpEndpoint(port.Http, name: "http", env: "HTTP_PORT", isProxied: false)
            .WithHttpEndpoint(port.Grpc, name: "grpc", env: "GRPC_PORT", isProxied: false).WithEndpoint("grpc", e => e.Transport = "http2")
            .WithEnvironment("NODE_ID", node)
            .WithEnvironment("STATE_DIR", prepared.State.FolderOf(node))
            .WithEnvironment("CONTROL_PLANE_GRPC", controlPlane.GetEndpoint("grpc"))
            .WithReference(kafka.Connection).WaitFor(kafka.Server)
            .WaitFor(controlPlane)
            .WithHttpHealthCheck("/readyz", endpointName: "http")
            .WithOtlpExporter()
            // A checkout asks thousands of times a second: who wants the trace of a quote says so in its traceparent.
            .WithEnvironment("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
            .WithEnvironment("OTEL_TRACES_SAMPLER_ARG", "0.001");
        dataPlanes.Add(new Service(dataPlane, "http", "grpc"));
    }

    var metering = builder.AddExecutable("metering", Programs.Metering, prepared.State.FolderOf("metering"))
        .WithHttpEndpoint(ports.MeteringHttp, name: "http", env: "HTTP_PORT", isProxied: false)
        .WithReference(kafka.Connection).WaitFor(kafka.Server)
        .WithEnvironment("HYBRID_KAFKA_STAND_IN", kafka.IsStandIn ? "true" : "false")
        .WaitFor(controlPlane)
        .WithHttpHealthCheck("/readyz", endpointName: "http")
        .WithOtlpExporter();

    return new Topology(database, kafka, new Service(controlPlane, "http", "grpc"), dataPlanes, new Service(metering, "http"));
});
