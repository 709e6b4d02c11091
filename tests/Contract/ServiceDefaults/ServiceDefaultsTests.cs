using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Proto.Trace.V1;

namespace Hybrid.Tests.Contract.ServiceDefaults;

/// <summary>Web programs with the defaults, and the receiver that their telemetry reaches.</summary>
public sealed class ServiceDefaultsTests : IAsyncLifetime
{
    private readonly OtlpSink sink = new();
    private readonly List<WebApplication> programs = [];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await sink.StartAsync();

    public async ValueTask DisposeAsync()
    {
        foreach (var program in programs)
            await program.DisposeAsync();
        await sink.DisposeAsync();
    }

    [Fact]
    public async Task A_request_leaves_a_trace_a_metric_and_a_log_that_belong_together()
    {
        using var client = await StartAsync(Program(
            "shop",
            map: app => app.MapGet("/hello", (ILogger<ServiceDefaultsTests> logger) =>
            {
                logger.LogInformation("said hello to {Name}", "you");
                return "hello";
            })));

        Assert.Equal("hello", await client.GetStringAsync("/hello", Cancellation));

        var server = (await SpanAsync(Span.Types.SpanKind.Server)).Signal;
        // The client is in the same process, so it is traced too.
        var caller = await SpanAsync(Span.Types.SpanKind.Client);
        Assert.Equal("shop", caller.Service);
        Assert.Equal((caller.Signal.TraceId, caller.Signal.SpanId), (server.TraceId, server.ParentSpanId));
        Assert.Equal("GET /hello", server.Name);
        var log = await Eventually.HoldsAsync(
            "the log record", () => Task.FromResult(sink.LogRecords.FirstOrDefault(l => l.Signal.Body.StringValue == "said hello to you")), l => l is not null);
        Assert.Equal((server.TraceId, server.SpanId), (log!.Signal.TraceId, log.Signal.SpanId));
        Assert.Equal("you", log.Signal.Attributes.Text("Name"));
        await Eventually.HoldsAsync(
            "the metric of the request", () => Task.FromResult(sink.MetricPoints.Any(m => m.Signal.Name == "http.server.request.duration" && m.Service == "shop")), there => there);
    }

    [Fact]
    public async Task Readiness_names_what_is_pending_and_health_is_not_traced()
    {
        using var client = await StartAsync(Program(
            "shop",
            services => services.AddHealthChecks()
                .AddCheck("catalog", () => HealthCheckResult.Healthy("42 items"), ["ready"])
                .AddCheck("broker", () => HealthCheckResult.Unhealthy("no answer"), ["ready"])
                .AddCheck("unrelated", () => HealthCheckResult.Unhealthy()),
            app => app.MapGet("/traced", () => "")));

        using var live = await client.GetAsync("/livez", Cancellation);
        using var ready = await client.GetAsync("/readyz", Cancellation);

        Assert.Equal(HttpStatusCode.OK, live.StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        var report = await ready.Content.ReadFromJsonAsync<JsonObject>(Cancellation);
        Assert.Equal(
            """{"status":"pending","tasks":[{"name":"broker","status":"pending","detail":"no answer"},{"name":"catalog","status":"done","detail":"42 items"}]}""",
            report!.ToJsonString());
        await client.GetStringAsync("/traced", Cancellation);
        Assert.Equal("GET /traced", (await SpanAsync(Span.Types.SpanKind.Server)).Signal.Name);
        Assert.Single(sink.Spans, span => span.Signal.Kind == Span.Types.SpanKind.Server);
    }

    [Fact]
    public async Task Without_anything_pending_it_is_ready()
    {
        using var client = await StartAsync(Program("shop"));
        Assert.Equal("""{"status":"ready","tasks":[]}""", await client.GetStringAsync("/readyz", Cancellation));
    }

    [Fact]
    public async Task Without_an_endpoint_nothing_is_exported()
    {
        using var client = await StartAsync(Program("shop", settings: new() { ["OTEL_EXPORTER_OTLP_ENDPOINT"] = null }, map: app => app.MapGet("/hello", () => "hello")));
        using var heard = await StartAsync(Program("heard", map: app => app.MapGet("/hello", () => "hello")));

        await client.GetStringAsync("/hello", Cancellation);
        await heard.GetStringAsync("/hello", Cancellation);

        // What is exported arrives within the same interval.
        await Eventually.HoldsAsync("the spans of the other program", () => Task.FromResult(sink.Spans.Any(span => span.Service == "heard")), there => there);
        Assert.DoesNotContain(sink.Spans, span => span.Service == "shop");
    }

    [Fact]
    public async Task Two_instances_of_a_program_have_ids_of_their_own()
    {
        using var first = await StartAsync(Program("twin", map: app => app.MapGet("/first", () => "")));
        using var second = await StartAsync(Program("twin", map: app => app.MapGet("/second", () => "")));

        await first.GetStringAsync("/first", Cancellation);
        await second.GetStringAsync("/second", Cancellation);

        // Both are in this process, so each also exports what the other does: only the ids tell them apart.
        await Eventually.HoldsAsync("the spans of both", () => Task.FromResult(InstanceIds().Count), count => count == 2);
        Assert.DoesNotContain("", InstanceIds());
    }

    [Fact]
    public async Task The_standard_settings_name_the_resource()
    {
        using var client = await StartAsync(Program(
            "program",
            settings: new() { ["OTEL_SERVICE_NAME"] = "shop", ["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test,service.instance.id=shop-7" },
            map: app => app.MapGet("/hello", () => "hello")));

        await client.GetStringAsync("/hello", Cancellation);

        var resource = (await SpanAsync(Span.Types.SpanKind.Server)).Resource.Attributes;
        Assert.Equal(
            ("shop", "test", "shop-7"), (resource.Text("service.name"), resource.Text("deployment.environment.name"), resource.Text("service.instance.id")));
    }

    [Fact]
    public async Task The_standard_settings_choose_the_sampler()
    {
        using var client = await StartAsync(Program("shop", settings: new() { ["OTEL_TRACES_SAMPLER"] = "always_off" }, map: app => app.MapGet("/hello", () => "hello")));

        await client.GetStringAsync("/hello", Cancellation);

        // The metric is exported after the span would have been.
        await Eventually.HoldsAsync(
            "the metric of the request", () => Task.FromResult(sink.MetricPoints.Any(m => m.Signal.Name == "http.server.request.duration")), there => there);
        Assert.Empty(sink.Spans);
    }

    private HashSet<string> InstanceIds() =>
        [.. sink.Spans.Where(span => span.Signal.Kind == Span.Types.SpanKind.Server).Select(span => span.Resource.Attributes.Text("service.instance.id"))];

    private Task<Received<Span>> SpanAsync(Span.Types.SpanKind kind) =>
        Eventually.HoldsAsync($"a span of kind {kind}", () => Task.FromResult(sink.Spans.FirstOrDefault(s => s.Signal.Kind == kind)!), span => span is not null);

    private WebApplication Program(
        string name, Action<IServiceCollection>? services = null, Action<WebApplication>? map = null, Dictionary<string, string?>? settings = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = name });
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink.Endpoint.ToString(),
            ["OTEL_SERVICE_NAME"] = name,
            ["OTEL_BSP_SCHEDULE_DELAY"] = "100",
            ["OTEL_BLRP_SCHEDULE_DELAY"] = "100",
            ["OTEL_METRIC_EXPORT_INTERVAL"] = "100",
        });
        builder.Configuration.AddInMemoryCollection(settings ?? []);
        services?.Invoke(builder.Services);
        builder.AddServiceDefaults();
        var app = builder.Build();
        app.MapDefaultEndpoints();
        map?.Invoke(app);
        programs.Add(app);
        return app;
    }

    private static async Task<HttpClient> StartAsync(WebApplication program)
    {
        await program.StartAsync(Cancellation);
        return new HttpClient { BaseAddress = new Uri(program.Urls.Single()) };
    }
}
