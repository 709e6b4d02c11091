using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Hybrid.Toolchain;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Commands;

/// <summary>The command <em>Send quotes</em> of a data plane: load at a constant rate, by the load generator.</summary>
internal static class SendQuotesCommand
{
    public const string Name = "send-quotes";
    public const string Rate = "rate";
    public const string Duration = "duration";

    private const int HighestRate = 20_000;
    private const int LongestDuration = 600;
    private const string Sku = "demo-mug";
    private const string Jurisdiction = "DEMO";
    private const string Currency = "EUR";

    /// <summary>Adds the command. What it prices is created at <paramref name="controlPlane"/> where it is missing.</summary>
    public static IResourceBuilder<T> WithSendQuotesCommand<T>(this IResourceBuilder<T> dataPlane, IResourceBuilder<IResourceWithEndpoints> controlPlane)
        where T : class, IResourceWithEndpoints =>
        dataPlane.WithCommand(Name, "Send quotes", async context =>
        {
            try
            {
                await StockAsync(controlPlane.GetEndpoint("http").Url, dataPlane.GetEndpoint("http").Url, context.CancellationToken);
                await Programs.BuildRustAsync(Hosting.Preparation.ProgressOf(dataPlane.Resource, context.Services), context.CancellationToken);
                return await SendAsync(dataPlane.GetEndpoint("grpc").Url, context);
            }
            catch (Exception e) when (e is HttpRequestException or SetupException)
            {
                return CommandResults.Failure(e.Message);
            }
        }, new CommandOptions
        {
            Description = "Asks this node for quotes at a constant rate, and reports latencies and failures.",
            IconName = "TopSpeed",
            IsHighlighted = true,
            Arguments =
            [
                new InteractionInput { Name = Rate, Label = "Quotes a second", InputType = InputType.Number, Required = true, Value = "500" },
                new InteractionInput { Name = Duration, Label = "Seconds", InputType = InputType.Number, Required = true, Value = "10" },
            ],
            ValidateArguments = context =>
            {
                Validate(context, Rate, HighestRate);
                Validate(context, Duration, LongestDuration);
                return Task.CompletedTask;
            },
            Progress = new CommandProgressOptions { Message = "Sending quotes …" },
        });

    private static void Validate(InputsDialogValidationContext context, string name, int highest)
    {
        if (!int.TryParse(context.Inputs[name].Value, CultureInfo.InvariantCulture, out var value) || value < 1 || value > highest)
            context.AddValidationError(name, $"A whole number from 1 to {highest}.");
    }

    private static async Task StockAsync(string controlPlane, string dataPlane, CancellationToken cancellationToken)
    {
        using var http = new HttpClient();
        await CreateAsync("/v1/tax-rules", new { jurisdiction = Jurisdiction, category = "standard", ratePpm = 190_000 });
        await CreateAsync("/v1/items", new { sku = Sku, name = "Mug", unitPrice = new { currencyCode = Currency, minorUnits = 1_050 } });
        var quote = new { currencyCode = Currency, jurisdiction = Jurisdiction, lines = new[] { new { sku = Sku, quantity = 1 } } };
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(TimeSpan.FromSeconds(10));
        try
        {
            while (!(await http.PostAsJsonAsync(dataPlane + "/v1/quotes", quote, deadline.Token)).IsSuccessStatusCode)
                await Task.Delay(TimeSpan.FromMilliseconds(50), deadline.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HttpRequestException("The node does not price the demo item, which the control plane has. Look at its snapshot.");
        }

        async Task CreateAsync(string path, object body)
        {
            using var response = await http.PostAsJsonAsync(controlPlane + path, body, cancellationToken);
            // The demo item of an earlier call is as good.
            if (!response.IsSuccessStatusCode && response.StatusCode != HttpStatusCode.Conflict)
                throw new HttpRequestException($"POST {path} answered {(int)response.StatusCode}: {await response.Content.ReadAsStringAsync(cancellationToken)}");
        }
    }

    private static async Task<ExecuteCommandResult> SendAsync(string target, ExecuteCommandContext context)
    {
        string[] arguments =
        [
            "--target", target, "--rate", context.Arguments[Rate].Value ?? "", "--duration", context.Arguments[Duration].Value + "s",
            "--currency", Currency, "--jurisdiction", Jurisdiction, "--line", $"{Sku}=1",
        ];
        var run = await Subprocess.RunAsync(
            Programs.Loadgen, arguments, onLine: line => context.Logger.LogInformation("{Line}", line), cancellationToken: context.CancellationToken);
        if (!run.Succeeded)
            return CommandResults.Failure(run.Tail());
        var result = JsonNode.Parse(run.Output[run.Output.IndexOf("\n{", StringComparison.Ordinal)..]) ?? throw new SetupException("loadgen printed no result.");
        var latency = result["latencyMicros"];
        var summary = $"{result["answered"]} of {result["sent"]} quotes answered; median {Millis("p50")} ms, P99 {Millis("p99")} ms.";
        return CommandResults.Success(summary, result.ToJsonString(new() { WriteIndented = true }), CommandResultFormat.Json);

        string Millis(string percentile) => ((double?)latency?[percentile] / 1000)?.ToString("0.00", CultureInfo.InvariantCulture) ?? "?";
    }
}
