using Hybrid.AppHost.Commands;
using Hybrid.AppHost.Hosting;
using Hybrid.AppHost.Running;
using Hybrid.AppHost.Start;

if (!StartOptions.TryParse(args, out var options, out var exitCode))
    return exitCode;

var builder = DistributedApplication.CreateBuilder(options.HostArguments);
var infrastructure = await Infrastructure.ChooseAsync(options);
builder.UseStartOptions(options, infrastructure);
var (state, ports) = (infrastructure.State, infrastructure.Ports);

var database = builder.AddCatalogDatabase("hybriddb", infrastructure);
var kafka = builder.AddEventBroker("kafka", infrastructure);

var controlPlane = builder.AddGoApp("control-plane", "../go-control-plane", "./cmd/control-plane")
    .AsService("Organization", ports.ControlPlane.Http, ("/v1/items", "REST"), ("/openapi.json", "OpenAPI"), ("/readyz", "Health"))
    .WithGrpcEndpoint(ports.ControlPlane.Grpc)
    .WithReference(database).WaitFor(database)
    .WithReference(kafka).WaitFor(kafka)
    .WithEnvironment("HYBRID_KAFKA_STAND_IN", kafka.IsStandIn);

List<IResourceBuilder<IResourceWithEndpoints>> dataPlanes = [];
foreach (var (node, port) in ports.DataPlanes)
{
    dataPlanes.Add(builder.AddRustApp(node, "../rust-data-plane").WithCargoBinTarget("data-plane")
        .AsService("Flash", port.Http, ("/readyz", "Health"))
        .WithGrpcEndpoint(port.Grpc)
        .WithEnvironment("NODE_ID", node)
        .WithEnvironment("STATE_DIR", state.FolderOf(node))
        .WithEnvironment("CONTROL_PLANE_GRPC", controlPlane.GetEndpoint("grpc"))
        .WithReference(kafka).WaitFor(kafka)
        .WaitFor(controlPlane)
        // A checkout asks thousands of times a second: whoever wants the trace of a quote sends a sampled traceparent.
        .WithEnvironment("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .WithEnvironment("OTEL_TRACES_SAMPLER_ARG", "0.001")
        .WithSendQuotesCommand(controlPlane));
}

builder.AddRustApp("metering", "../rust-data-plane")
    .AsService("DataUsage", ports.Metering, ("/readyz", "Health"))
    .WithReference(kafka).WaitFor(kafka)
    .WithEnvironment("HYBRID_KAFKA_STAND_IN", kafka.IsStandIn)
    .WaitFor(controlPlane);

controlPlane.WithLoopCheckCommand(dataPlanes).WithLabCommand(state.FolderOf("lab"));

if (!builder.TryKeepOnly(options.Only))
    return 2;
return await builder.Build().RunToExitCodeAsync();
