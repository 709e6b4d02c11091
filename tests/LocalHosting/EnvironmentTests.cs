namespace Hybrid.Tests.LocalHosting;

/// <summary>What a process finds in its environment and its arguments.</summary>
public sealed class EnvironmentTests
{
    [Fact]
    public async Task A_connection_string_comes_whole_and_in_parts()
    {
        await using var host = new LocalHost();
        var server = host.AddScript("server", "sleep 100").WithEndpoint(scheme: "tcp", name: "tcp");
        var endpoint = server.GetEndpoint("tcp");
        var password = host.Builder.AddParameter("password", "a/b c", secret: true);
        var database = host.Builder.AddConnectionString("hybrid-db", ReferenceExpression.Create(
            $"Host={endpoint.Property(EndpointProperty.Host)};Port={endpoint.Property(EndpointProperty.Port)};Username=shop;Password={password};Database=hybrid"));
        host.AddPrinter("client").WithReference(database);
        await host.StartAsync();

        var environment = await host.EnvironmentOfAsync("client");

        Assert.Equal($"Host=localhost;Port={endpoint.Port};Username=shop;Password=a/b c;Database=hybrid", environment["ConnectionStrings__hybrid-db"]);
        Assert.Equal("localhost", environment["HYBRID_DB_HOST"]);
        Assert.Equal($"{endpoint.Port}", environment["HYBRID_DB_PORT"]);
        Assert.Equal("shop", environment["HYBRID_DB_USERNAME"]);
        Assert.Equal("a/b c", environment["HYBRID_DB_PASSWORD"]);
        Assert.Equal("hybrid", environment["HYBRID_DB_DATABASENAME"]);
        Assert.Equal($"postgresql://shop:a%2Fb%20c@localhost:{endpoint.Port}/hybrid", environment["HYBRID_DB_URI"]);
        Assert.Equal($"jdbc:postgresql://localhost:{endpoint.Port}/hybrid", environment["HYBRID_DB_JDBCCONNECTIONSTRING"]);
    }

    [Fact]
    public async Task A_connection_string_from_the_configuration_may_go_into_a_variable_of_its_own()
    {
        await using var host = new LocalHost();
        host.Builder.Configuration["ConnectionStrings:kafka"] = "broker:7092";
        var kafka = host.Builder.AddConnectionString("kafka", environmentVariableName: "BROKERS");
        host.AddPrinter("client").WithReference(kafka);
        await host.StartAsync();

        var environment = await host.EnvironmentOfAsync("client");

        Assert.Equal("broker:7092", environment["BROKERS"]);
        Assert.Equal("broker", environment["KAFKA_HOST"]);
        Assert.Equal("7092", environment["KAFKA_PORT"]);
        Assert.DoesNotContain("ConnectionStrings__kafka", environment.Keys);
    }

    [Fact]
    public async Task Endpoints_are_found_by_name_and_the_process_is_told_its_own_port()
    {
        await using var host = new LocalHost();
        var api = host.AddPrinter("my-api")
            .WithHttpEndpoint(name: "http", env: "HTTP_PORT")
            .WithEndpoint("grpc", e => (e.UriScheme, e.Transport, e.TargetHost) = ("http", "http2", "127.0.0.1"));
        host.AddPrinter("client")
            .WithReference(api.GetEndpoint("http"))
            .WithReference(api.GetEndpoint("grpc"))
            .WithEnvironment("TARGET", api.GetEndpoint("grpc"))
            .WithEnvironment("TEXT", $"at {api.GetEndpoint("http").Property(EndpointProperty.HostAndPort)} {{braces}}");
        await host.StartAsync();

        var own = await host.EnvironmentOfAsync("my-api");
        var environment = await host.EnvironmentOfAsync("client");

        var http = api.GetEndpoint("http");
        var grpc = api.GetEndpoint("grpc");
        Assert.Equal($"{http.Port}", own["HTTP_PORT"]);
        Assert.Equal($"http://localhost:{http.Port}", environment["MY_API_HTTP"]);
        Assert.Equal($"http://localhost:{http.Port}", environment["services__my-api__http__0"]);
        Assert.Equal($"http://127.0.0.1:{grpc.Port}", environment["MY_API_GRPC"]);
        Assert.Equal($"http://127.0.0.1:{grpc.Port}", environment["services__my-api__grpc__0"]);
        Assert.Equal($"http://127.0.0.1:{grpc.Port}", environment["TARGET"]);
        Assert.Equal($"at localhost:{http.Port} {{braces}}", environment["TEXT"]);
    }

    [Fact]
    public async Task The_environment_is_inherited_and_what_is_said_last_counts()
    {
        await using var host = new LocalHost();
        host.AddPrinter("client")
            .WithEnvironment("X", "first")
            .WithEnvironment("X", () => "last")
            .WithEnvironment(c => c.EnvironmentVariables["Y"] = "callback");
        await host.StartAsync();

        var environment = await host.EnvironmentOfAsync("client");

        Assert.Equal("last", environment["X"]);
        Assert.Equal("callback", environment["Y"]);
        Assert.Equal(Environment.GetEnvironmentVariable("PATH"), environment["PATH"]);
    }

    [Fact]
    public async Task Telemetry_is_sent_to_the_host_and_its_settings_can_be_overridden()
    {
        await using var host = new LocalHost();
        host.Builder.Environment.EnvironmentName = "Development";
        host.AddPrinter("client").WithOtlpExporter().WithEnvironment("OTEL_TRACES_SAMPLER", "parentbased_always_off");
        host.AddPrinter("silent");
        await host.StartAsync();

        var environment = await host.EnvironmentOfAsync("client");
        var silent = await host.EnvironmentOfAsync("silent");

        Assert.Matches(@"^http://127\.0\.0\.1:\d+$", environment["OTEL_EXPORTER_OTLP_ENDPOINT"]);
        Assert.Equal("grpc", environment["OTEL_EXPORTER_OTLP_PROTOCOL"]);
        Assert.Equal("client", environment["OTEL_SERVICE_NAME"]);
        Assert.Matches("^service.instance.id=[0-9a-f]{8}$", environment["OTEL_RESOURCE_ATTRIBUTES"]);
        Assert.Equal("1000", environment["OTEL_BSP_SCHEDULE_DELAY"]);
        Assert.Equal("1000", environment["OTEL_BLRP_SCHEDULE_DELAY"]);
        Assert.Equal("1000", environment["OTEL_METRIC_EXPORT_INTERVAL"]);
        Assert.Equal("parentbased_always_off", environment["OTEL_TRACES_SAMPLER"]);
        Assert.DoesNotContain("OTEL_SERVICE_NAME", silent.Keys);
    }

    [Fact]
    public async Task Arguments_may_be_values_that_are_known_late()
    {
        await using var host = new LocalHost();
        var script = host.AddScript("echo", "echo \"$@\"; sleep 100").WithHttpEndpoint(name: "http");
        script.WithArgs("self", "--port", script.GetEndpoint("http").Property(EndpointProperty.TargetPort), 7).WithArgs(c => c.Args.Add("two words"));
        await host.StartAsync();

        var line = await host.LineAsync("echo", _ => true);

        Assert.Equal($"--port {script.GetEndpoint("http").Port} 7 two words", line);
    }

    [Fact]
    public async Task A_parameter_without_a_value_is_named()
    {
        await using var host = new LocalHost();
        var parameter = host.Builder.AddParameter("licence");
        host.AddScript("client", "sleep 100").WithEnvironment("LICENCE", parameter);
        await host.StartAsync();

        var e = await Assert.ThrowsAsync<DistributedApplicationException>(() => host.HealthyAsync("client"));

        Assert.Contains("Parameters:licence", e.Message);
    }
}
