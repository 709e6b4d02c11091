using System.CommandLine;
using System.Diagnostics.CodeAnalysis;

namespace Hybrid.AppHost.Start;

/// <summary>Where Postgres and Kafka come from: a container where an engine answers, else a native server; or only one of the two.</summary>
internal enum InfrastructureKind { Auto, Native, Containers }

/// <summary>What the person who starts the topology asked for.</summary>
/// <param name="Check">Start, drive one round of the loop, stop, and report the outcome by the exit code.</param>
/// <param name="Fresh">Remove what earlier starts left in the state folder.</param>
/// <param name="State">Absolute path of the folder of data, logs and <c>endpoints.json</c>.</param>
/// <param name="RandomPorts">Use free ports instead of the documented ones.</param>
/// <param name="Only">Names of the resources to run, with what they need; all when it is empty.</param>
/// <param name="HostArguments">Passed on to the host: configuration and Aspire's publishing switches.</param>
internal sealed record StartOptions(
    bool Check, bool Fresh, string State, bool RandomPorts, InfrastructureKind Infrastructure, string[] Only, string[] HostArguments)
{
    private static readonly string[] HostSwitches = ["--publisher", "--operation", "--step", "--output-path"];
    private static readonly string[] HostPrefixes = ["ASPIRE_", "ASPNETCORE_", "DOTNET_"];

    /// <summary>Parses the command line.</summary>
    /// <returns>False when the process should end with <paramref name="exitCode"/>: help was printed (0) or an option is wrong (2).</returns>
    public static bool TryParse(string[] args, [NotNullWhen(true)] out StartOptions? options, out int exitCode)
    {
        var check = new Option<bool>("--check") { Description = "Start everything, drive one round of the loop, print a summary and stop; exit code 0 or 1." };
        var fresh = new Option<bool>("--fresh") { Description = "Start anew: remove the data of earlier starts." };
        var state = new Option<string>("--state")
        {
            Description = "Folder of data, logs and endpoints.json.",
            HelpName = "DIR",
            DefaultValueFactory = _ => DefaultState(),
        };
        var randomPorts = new Option<bool>("--random-ports") { Description = "Use free ports instead of the documented ones; endpoints.json lists them." };
        var infrastructure = new Option<InfrastructureKind>("--infrastructure")
        {
            Description = "Where Postgres and Kafka come from: containers where an engine answers and native servers elsewhere (auto), or only one of the two.",
            HelpName = "auto|native|containers",
        };
        var only = new Option<string[]>("--only")
        {
            Description = "Run only this resource and what it needs, for instance control-plane; may be repeated.",
            HelpName = "RESOURCE",
        };
        var command = new RootCommand(
            "Starts Hybrid: the control plane (Go), two data planes and metering (Rust), Kafka and Postgres. Ctrl-C stops everything, a second Ctrl-C at once.\n\n"
            + "Servers of your own: set ConnectionStrings__hybriddb (Host=…;Port=…;Username=…;Password=…;Database=…) or ConnectionStrings__kafka (host:port).")
        {
            check, fresh, state, randomPorts, infrastructure, only,
        };
        command.TreatUnmatchedTokensAsErrors = false;
        command.Validators.Add(result =>
        {
            if (result.GetValue(check) && result.GetValue(only) is { Length: > 0 })
                result.AddError("--check drives the whole loop and cannot be combined with --only.");
        });
        state.Validators.Add(result =>
        {
            if (string.IsNullOrWhiteSpace(result.GetValueOrDefault<string>()))
                result.AddError("--state needs a folder.");
        });

        options = null;
        var parsed = command.Parse(args);
        // A misspelt option must not go unnoticed.
        var error = parsed.Errors.Count > 0 ? parsed.Errors[0].Message : UnknownOf(parsed.UnmatchedTokens) is { } unknown ? $"Unknown option {unknown}." : null;
        if (error is not null)
        {
            Console.Error.WriteLine($"{error} See `dotnet run --project AppHost -- --help`.");
            exitCode = 2;
            return false;
        }
        exitCode = 0;
        if (parsed.Action is not null)
        {
            exitCode = parsed.Invoke();
            return false;
        }
        options = new StartOptions(
            parsed.GetValue(check), parsed.GetValue(fresh), Path.GetFullPath(parsed.GetValue(state)!), parsed.GetValue(randomPorts),
            parsed.GetValue(infrastructure), parsed.GetValue(only) ?? [], [.. parsed.UnmatchedTokens]);
        return true;
    }

    /// <summary>The first token that is neither configuration nor a switch of the host.</summary>
    private static string? UnknownOf(IReadOnlyList<string> tokens) =>
        tokens.Where((token, i) => !IsConfiguration(token) && !HostSwitches.Contains(token) && (i == 0 || !HostSwitches.Contains(tokens[i - 1]))).FirstOrDefault();

    /// <summary><c>Section:Key=Value</c>, or a variable of .NET's or Aspire's, with or without leading dashes.</summary>
    private static bool IsConfiguration(string token)
    {
        var key = token.TrimStart('-').Split('=', 2) is [var name, _] ? name : "";
        return key.Contains(':') || HostPrefixes.Any(prefix => key.StartsWith(prefix, StringComparison.Ordinal));
    }

    private static string DefaultState()
    {
        if (!OperatingSystem.IsLinux())
            return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "hybrid");
        // The home of root is closed to the plain user that Postgres runs as.
        if (Environment.IsPrivilegedProcess)
            return "/var/lib/hybrid";
        var xdg = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
        return Path.Combine(xdg is { Length: > 0 } ? xdg : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local/state"), "hybrid");
    }
}
