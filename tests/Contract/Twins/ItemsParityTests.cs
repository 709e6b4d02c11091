using System.Net;
using System.Text.Json.Nodes;
using Hybrid.Tests.Contract.Planes;
using Hybrid.Toolchain;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>The items twins answer alike, but for the table in Lab/twins/README.md.</summary>
public sealed class ItemsParityTests(BarePlanes planes, ITestOutputHelper output) : PlanesTest(planes, output)
{
    private readonly Differences differences = new("Go", "Rust");

    protected override IReadOnlyList<string> Concerned => ["postgres"];

    [Theory]
    [InlineData("Go")]
    [InlineData("Rust")]
    public async Task Answers_as_the_cases_and_the_table_say(string name)
    {
        await SetUp.BuildTwinsAsync();
        await using var twin = await StartAsync(name, DatabaseUrl());
        await twin.TestAsync(async () =>
        {
            var failures = await ItemsCases.FailuresAsync(name, twin.Address, Planes.Database, differences);
            Assert.True(failures.Count == 0, string.Join('\n', failures));
        });
        Assert.Empty(differences.Unused);
        Assert.Empty(differences.Needless);
    }

    [Theory]
    [InlineData("Go")]
    [InlineData("Rust")]
    public async Task Without_a_database_nothing_is_stored_and_a_name_that_Postgres_refuses_is_an_error(string name)
    {
        await SetUp.BuildTwinsAsync();
        await using (var twin = await StartAsync(name, null))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, await StoreAsync(twin, "a"));
        await using (var twin = await StartAsync(name, DatabaseUrl()))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, await StoreAsync(twin, "\0"));
    }

    [Fact]
    public async Task A_server_that_skips_validation_or_answers_before_it_has_stored_fails()
    {
        await SetUp.BuildTwinsAsync();
        // The table is there once a twin has been.
        await using (await StartAsync("Go", DatabaseUrl()))
        await using (var cheat = await CheatAsync())
        {
            var failures = await ItemsCases.FailuresAsync("Go", new Uri(cheat.Urls.Single()), Planes.Database, differences);
            Output.WriteLine(string.Join('\n', failures));
            foreach (var caught in (string[])["a negative price: /items answers 200", "an unknown member: /items answers 200", "a whole price: after /stored-items"])
                Assert.Contains(failures, failure => failure.StartsWith(caught, StringComparison.Ordinal));
            Assert.DoesNotContain(failures, failure => failure.StartsWith("a whole price: /items", StringComparison.Ordinal));
        }
    }

    private async Task<HttpStatusCode> StoreAsync(RunningTwin twin, string name)
    {
        using var content = JsonContentOf(new JsonObject { ["name"] = name, ["price"] = 1 });
        using var response = await Planes.Http.PostAsync(new Uri(twin.Address, "/stored-items"), content, Cancellation);
        return response.StatusCode;
    }

    private static StringContent JsonContentOf(JsonObject body) => new(body.ToJsonString(), null, "application/json");

    private static Task<RunningTwin> StartAsync(string name, string? database) =>
        RunningTwin.StartAsync(name, name == "Go" ? Programs.Go("items") : Programs.Rust("items"), (port, _, _) => new()
        {
            ["LISTEN"] = $"127.0.0.1:{port}",
            ["DATABASE_URL"] = database,
            ["POOL_SIZE"] = "2",
        });

    private string DatabaseUrl()
    {
        var parts = new NpgsqlConnectionStringBuilder(Planes.DatabaseConnection);
        var user = Uri.EscapeDataString(parts.Username ?? "") + (parts.Password is { Length: > 0 } password ? ":" + Uri.EscapeDataString(password) : "");
        return $"postgres://{user}@{parts.Host}:{parts.Port}/{parts.Database}?sslmode=disable";
    }

    /// <summary>Answers at once whatever it can read a price from, and stores nothing.</summary>
    private static async Task<WebApplication> CheatAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var server = builder.Build();
        foreach (var path in (string[])["/items", "/stored-items"])
        {
            server.MapPost(path, async (HttpRequest request) =>
            {
                try
                {
                    var price = (double?)(await JsonNode.ParseAsync(request.Body))?["price"] ?? 0;
                    return Results.Json(new { status = "created", tax = price * 0.19, id = 1 });
                }
                catch (Exception e) when (e is System.Text.Json.JsonException or InvalidOperationException or FormatException)
                {
                    return Results.BadRequest();
                }
            });
        }
        await server.StartAsync();
        return server;
    }
}
