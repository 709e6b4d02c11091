using System.Net;
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
    private readonly List<IAsyncDisposable> programs = [];
    private readonly HttpClient http = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await sink.StartAsync();

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        foreach (var program in programs)
            await program.DisposeAsync();
        await sink.DisposeAsync();
    }

    [Fact]
    public async Task A_request_leaves_a_trace_a_metric_and_a_log_that_belong_together_under_the_name_that_the_settings_give()
    {
        var program = await StartAsync("program", settings: new()
        {
            ["OTEL_SERVICE_NAME"] = "shop",
            ["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test,service.instance.id=shop-7",
        });

        Assert.Equal("hello", await http.GetStringAsync(program + "hello", Cancellation));

        var server = await SpanAsync(Span.Types.SpanKind.Server);
        // The client is in the same process, so it is traced too.
        var client = (await SpanAsync(Span.Types.SpanKind.Client)).Signal;
        Assert.Equal((client.TraceId, client.SpanId, "GET /hello"), (server.Signal.TraceId, server.Signal.ParentSpanId, server.Signal.Name));
        var attributes = server.Resource.Attributes;
        Assert.Equal(
            ("shop", "test", "shop-7"), (attributes.Text("service.name"), attributes.Text("deployment.environment.name"), attributes.Text("service.instance.id")));
        var log = await Eventually.HoldsAsync(
            "the log record", () => Task.FromResult(sink.LogRecords.FirstOrDefault(l => l.Signal.Body.StringValue == "said hello to you")), l => l is not null);
        Assert.Equal((server.Signal.TraceId, server.Signal.SpanId, "you"), (log!.Signal.TraceId, log.Signal.SpanId, log.Signal.Attributes.Text("Name")));
        await Eventually.HoldsAsync(
            "the metric", () => Task.FromResult(sink.MetricPoints.Any(m => m.Signal.Name == "http.server.request.duration" && m.Service == "shop")), there => there);
    }

    [Theory]
    [InlineData(
        HealthStatus.Unhealthy, HttpStatusCode.ServiceUnavailable,
        """{"status":"pending","tasks":[{"name":"broker","status":"pending","detail":"as told"},{"name":"catalog","status":"done","detail":"42 items"}]}""")]
    [InlineData(
        HealthStatus.Healthy, HttpStatusCode.OK,
        """{"status":"ready","tasks":[{"name":"broker","status":"done","detail":"as told"},{"name":"catalog","status":"done","detail":"42 items"}]}""")]
    public async Task Readiness_names_what_is_pending_and_health_is_not_traced(HealthStatus broker, HttpStatusCode status, string report)
    {
        var program = await StartAsync("shop", services => services.AddHealthChecks()
            .AddCheck("catalog", () => HealthCheckResult.Healthy("42 items"), ["ready"])
            .AddCheck("broker", () => new HealthCheckResult(broker, "as told"), ["ready"])
            .AddCheck("unrelated", () => HealthCheckResult.Unhealthy()));

        using var live = await http.GetAsync(program + "livez", Cancellation);
        using var ready = await http.GetAsync(program + "readyz", Cancellation);
        await http.GetStringAsync(program + "hello", Cancellation);

        Assert.Equal((HttpStatusCode.OK, status), (live.StatusCode, ready.StatusCode));
        Assert.Equal(report, await ready.Content.ReadAsStringAsync(Cancellation));
        Assert.Equal("GET /hello", (await SpanAsync(Span.Types.SpanKind.Server)).Signal.Name);
        Assert.Single(sink.Spans, span => span.Signal.Kind == Span.Types.SpanKind.Server);
    }

    [Fact]
    public async Task Without_an_endpoint_nothing_is_exported()
    {
        await http.GetStringAsync(await StartAsync("silent", settings: new() { ["OTEL_EXPORTER_OTLP_ENDPOINT"] = null }) + "hello", Cancellation);
        await http.GetStringAsync(await StartAsync("heard") + "hello", Cancellation);

        // What is exported arrives within the same interval.
        await Eventually.HoldsAsync("the spans of the other program", () => Task.FromResult(sink.Spans.Any(span => span.Service == "heard")), there => there);
        Assert.DoesNotContain(sink.Spans, span => span.Service == "silent");
    }

    [Fact]
    public async Task Two_instances_of_a_program_have_ids_of_their_own()
    {
        await http.GetStringAsync(await StartAsync("twin") + "hello", Cancellation);
        await http.GetStringAsync(await StartAsync("twin") + "hello", Cancellation);

        // Both are in this process, so each also exports what the other does: only the ids tell them apart.
        var ids = await Eventually.HoldsAsync(
            "the spans of both", () => Task.FromResult(sink.Spans.Select(span => span.Resource.Attributes.Text("service.instance.id")).ToHashSet()), ids => ids.Count == 2);
        Assert.DoesNotContain("", ids);
    }

    private Task<Received<Span>> SpanAsync(Span.Types.SpanKind kind) =>
        Eventually.HoldsAsync($"a span of kind {kind}", () => Task.FromResult(sink.Spans.FirstOrDefault(s => s.Signal.Kind == kind)!), span => span is not null);

    /// <returns>Where a program with the defaults says hello.</returns>
    private async Task<Uri> StartAsync(string name, Action<IServiceCollection>? services = null, Dictionary<string, string?>? settings = null)
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
        programs.Add(app);
        app.MapDefaultEndpoints();
        app.MapGet("/hello", (ILogger<ServiceDefaultsTests> logger) =>
        {
            logger.LogInformation("said hello to {Name}", "you");
            return "hello";
        });
        await app.StartAsync(Cancellation);
        return new Uri(app.Urls.Single());
    }
}
