using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Hybrid.Telemetry.Model;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.Tests.Telemetry;

/// <summary>A real web program with the defaults, and the receiver that its telemetry reaches.</summary>
public sealed class ServiceDefaultsTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_request_leaves_a_trace_a_metric_and_a_log_that_belong_together()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        await using var app = Build("shop", receiver.Endpoint);
        app.MapGet("/hello", (ILogger<ServiceDefaultsTests> logger) =>
        {
            logger.LogInformation("said hello to {Name}", "you");
            return "hello";
        });
        await app.StartAsync(Cancellation);
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };

        Assert.Equal("hello", await client.GetStringAsync("/hello", Cancellation));

        // The client is traced too, since it is in the same process.
        var server = await receiver.Store.WaitForAsync(
            s => s.Spans(span => span.Kind == SpanKind.Server) is [var span] ? span : null, Eventually.Patience, Cancellation);
        await receiver.Store.WaitForAsync(s => s.FindTrace(server.TraceId)?.Spans.Count == 2, Eventually.Patience, Cancellation);
        var root = Assert.Single(receiver.Store.FindTrace(server.TraceId)!.Roots);
        Assert.Equal((SpanKind.Client, "shop"), (root.Kind, root.Source.ServiceName));
        Assert.Equal(root.SpanId, server.ParentSpanId);
        Assert.Equal("GET /hello", server.Name);

        await receiver.Store.WaitForAsync(s => s.LogsOfTrace(server.TraceId).Any(l => l.Body == "said hello to you"), Eventually.Patience, Cancellation);
        var log = receiver.Store.LogsOfTrace(server.TraceId).First(l => l.Body == "said hello to you");
        Assert.Equal(server.SpanId, log.SpanId);
        Assert.Equal("you", log.Attributes.Text("Name"));

        await receiver.Store.WaitForAsync(s => s.LatestMetric("http.server.request.duration", "shop") >= 1, Eventually.Patience, Cancellation);
    }

    [Fact]
    public async Task Readiness_names_what_is_pending_and_health_is_not_traced()
    {
        await using var receiver = await ReceiverFixture.StartAsync();
        await using var app = Build("shop", receiver.Endpoint, services => services.AddHealthChecks()
            .AddCheck("catalog", () => HealthCheckResult.Healthy("42 items"), ["ready"])
            .AddCheck("broker", () => HealthCheckResult.Unhealthy("no answer"), ["ready"])
            .AddCheck("unrelated", () => HealthCheckResult.Unhealthy()));
        app.MapGet("/traced", () => "");
        await app.StartAsync(Cancellation);
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };

        using var live = await client.GetAsync("/livez", Cancellation);
        using var ready = await client.GetAsync("/readyz", Cancellation);

        Assert.Equal(HttpStatusCode.OK, live.StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        var report = await ready.Content.ReadFromJsonAsync<JsonObject>(Cancellation);
        Assert.Equal(
            """{"status":"pending","tasks":[{"name":"broker","status":"pending","detail":"no answer"},{"name":"catalog","status":"done","detail":"42 items"}]}""",
            report!.ToJsonString());
        await client.GetAsync("/traced", Cancellation);
        await receiver.Store.WaitForAsync(s => s.Spans(x => x.Name.Contains("/traced")).Count > 0, Eventually.Patience, Cancellation);
        Assert.Single(receiver.Store.Spans(s => s.Kind == SpanKind.Server));
    }

    [Fact]
    public async Task Without_anything_pending_it_is_ready_and_without_an_endpoint_it_sends_nothing()
    {
        await using var app = Build("shop", null);
        await app.StartAsync(Cancellation);
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };

        Assert.Equal("""{"status":"ready","tasks":[]}""", await client.GetStringAsync("/readyz", Cancellation));
        Assert.DoesNotContain(app.Services.GetServices<IHostedService>(), s => s.GetType().Name.Contains("Otlp"));
    }

    private static WebApplication Build(string name, Uri? endpoint, Action<IServiceCollection>? configure = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = name });
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint?.ToString(),
            ["OTEL_SERVICE_NAME"] = name,
            ["OTEL_BSP_SCHEDULE_DELAY"] = "100",
            ["OTEL_BLRP_SCHEDULE_DELAY"] = "100",
            ["OTEL_METRIC_EXPORT_INTERVAL"] = "100",
        });
        configure?.Invoke(builder.Services);
        builder.AddServiceDefaults();
        var app = builder.Build();
        app.MapDefaultEndpoints();
        return app;
    }
}
