using System.Globalization;
using System.Text.Json.Nodes;
using Hybrid.AppHost.Hosting;
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

    private const string Sku = "demo-mug";
    private const string Jurisdiction = "DEMO";

    /// <summary>Adds the command. What it prices is created at <paramref name="controlPlane"/> where it is missing.</summary>
    public static IResourceBuilder<T> WithSendQuotesCommand<T>(this IResourceBuilder<T> dataPlane, IResourceBuilder<IResourceWithEndpoints> controlPlane)
        where T : class, IResourceWithEndpoints =>
        dataPlane.WithCommand(Name, "Send quotes", async context =>
        {
            try
            {
                using var shop = new Shop(controlPlane.GetEndpoint("http").Url, Sku, Jurisdiction);
                await shop.StockAsync("Mug", 1_050, context.CancellationToken);
                await shop.QuoteUntilAsync((dataPlane.Resource.Name, dataPlane.GetEndpoint("http").Url), quantity: 1, _ => true, context.CancellationToken);
                await Programs.BuildRustAsync(context.Services.GetRequiredService<Preparations>().ProgressOf(dataPlane.Resource), context.CancellationToken);
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
                Validate(context, Rate, highest: 20_000);
                Validate(context, Duration, highest: 600);
                return Task.CompletedTask;
            },
            Progress = new CommandProgressOptions { Message = "Sending quotes …" },
        });

    private static void Validate(InputsDialogValidationContext context, string name, int highest)
    {
        if (!int.TryParse(context.Inputs[name].Value, CultureInfo.InvariantCulture, out var value) || value < 1 || value > highest)
            context.AddValidationError(name, $"A whole number from 1 to {highest}.");
    }

    private static async Task<ExecuteCommandResult> SendAsync(string target, ExecuteCommandContext context)
    {
        string[] arguments =
        [
            "--target", target, "--rate", context.Arguments[Rate].Value ?? "", "--duration", context.Arguments[Duration].Value + "s",
            "--currency", Shop.Currency, "--jurisdiction", Jurisdiction, "--line", $"{Sku}=1",
        ];
        var run = await Subprocess.RunAsync(
            Programs.Loadgen, arguments, onLine: line => context.Logger.LogInformation("{Line}", line), cancellationToken: context.CancellationToken);
        if (!run.Succeeded)
            return CommandResults.Failure(run.Tail());
        var result = JsonNode.Parse(run.Output[run.Output.IndexOf("\n{", StringComparison.Ordinal)..]) ?? throw new SetupException("loadgen printed no result.");
        string Millis(string percentile) => ((double?)result["latencyMicros"]?[percentile] / 1000)?.ToString("0.00", CultureInfo.InvariantCulture) ?? "?";
        var failed = string.Join(", ", result["failed"]!.AsObject().Select(code => $"{code.Value} {code.Key}"));
        var summary = $"{result["answered"]} of {result["sent"]} quotes answered, {(failed.Length == 0 ? "none" : failed)} failed; P50 {Millis("p50")} ms, P99 {Millis("p99")} ms.";
        // The dashboard's own line says only that the command succeeded; this one stays until it is dismissed.
        var interaction = context.Services.GetRequiredService<IInteractionService>();
        if (interaction.IsAvailable)
            _ = interaction.PromptNotificationAsync("Send quotes", summary, new NotificationInteractionOptions { Intent = MessageIntent.Success });
        return CommandResults.Success(summary, result.ToJsonString(new() { WriteIndented = true }), CommandResultFormat.Json);
    }
}
