using System.Net;
using Hybrid.Toolchain;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Commands;

/// <summary>
/// The command <em>Measure Go against Rust</em>: one quick scenario of the Lab, beside what is running, and its report behind a link.
/// </summary>
internal static class LabCommand
{
    public const string Name = "measure";
    public const string Scenario = "scenario";
    public const string Rounds = "rounds";

    /// <summary>Those that need no stores of their own.</summary>
    private static readonly KeyValuePair<string, string>[] Scenarios =
    [
        new("plaintext", "plaintext: an answer without any work"),
        new("json", "json: the article's POST /items"),
        new("sustained", "sustained: more callers than a server can serve"),
    ];

    /// <summary>Adds the command. Reports are kept below <paramref name="folder"/>.</summary>
    public static IResourceBuilder<T> WithLabCommand<T>(this IResourceBuilder<T> builder, string folder)
        where T : class, IResource
    {
        // Two at a time would measure each other.
        var turn = new SemaphoreSlim(1);
        return builder.WithCommand(Name, "Measure Go against Rust", async context =>
        {
            if (!await turn.WaitAsync(TimeSpan.Zero))
                return CommandResults.Failure("A scenario is being measured already; the console log shows how far it is.");
            try
            {
                return await RunAsync(Path.Combine(folder, context.Arguments[Scenario].Value!), context);
            }
            finally
            {
                turn.Release();
            }
        }, new CommandOptions
        {
            Description = "Runs a quick scenario of the Lab beside what is running here, and links its report. The first time builds the twins, which takes minutes.",
            IconName = "Beaker",
            Arguments =
            [
                new InteractionInput { Name = Scenario, Label = "Scenario", InputType = InputType.Choice, Required = true, Options = Scenarios, Value = "plaintext" },
                new InteractionInput { Name = Rounds, Label = "Rounds", InputType = InputType.Number, Required = true, Value = "3" },
            ],
            ValidateArguments = context =>
            {
                if (!Scenarios.Any(scenario => scenario.Key == context.Inputs[Scenario].Value))
                    context.AddValidationError(Scenario, $"One of {string.Join(", ", Scenarios.Select(scenario => scenario.Key))}.");
                if (!int.TryParse(context.Inputs[Rounds].Value, out var rounds) || rounds is < 1 or > 100)
                    context.AddValidationError(Rounds, "A whole number from 1 to 100.");
                return Task.CompletedTask;
            },
            Progress = new CommandProgressOptions { Message = "Measuring …" },
        });
    }

    private static async Task<ExecuteCommandResult> RunAsync(string folder, ExecuteCommandContext context)
    {
        var stopping = context.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        using var end = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, stopping);
        string[] arguments =
        [
            "run", "--project", Path.Combine(Workspace.Root, "Lab"), "--", "--quick", "--filter", context.Arguments[Scenario].Value!,
            "--rounds", context.Arguments[Rounds].Value!, "--output", folder,
        ];
        var run = await Subprocess.RunAsync("dotnet", arguments, onLine: line => context.Logger.LogInformation("{Line}", line), cancellationToken: end.Token);
        if (!run.Succeeded)
            return CommandResults.Failure(run.Tail());
        var report = await ServeAsync(folder, stopping);
        var interaction = context.Services.GetRequiredService<IInteractionService>();
        if (interaction.IsAvailable)
        {
            _ = interaction.PromptNotificationAsync("Go against Rust", "The report is ready.", new NotificationInteractionOptions
            {
                Intent = MessageIntent.Success,
                LinkText = "Open the report",
                LinkUrl = report,
            });
        }
        return CommandResults.Success($"The report is at {report} until this host ends, and in {folder}.");
    }

    /// <summary>Browsers follow no link from the dashboard to a file.</summary>
    /// <returns>Where the report is served until the host stops.</returns>
    private static async Task<string> ServeAsync(string folder, CancellationToken stopping)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var server = builder.Build();
        server.MapGet("/", () => Results.File(Path.Combine(folder, "report.html"), "text/html; charset=utf-8"));
        await server.StartAsync(stopping);
        stopping.Register(() => _ = server.StopAsync(CancellationToken.None));
        return server.Urls.Single();
    }
}
