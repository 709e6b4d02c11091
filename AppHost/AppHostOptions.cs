using System.CommandLine;
using System.Diagnostics.CodeAnalysis;

namespace Hybrid.AppHost;

/// <summary>What the person who starts the topology may ask for.</summary>
/// <param name="Check">Start, drive one round of the loop, stop, and say by the exit code how it went.</param>
/// <param name="Fresh">Remove what earlier starts left in the state folder.</param>
/// <param name="State">Where data, logs and <c>endpoints.json</c> lie.</param>
/// <param name="RandomPorts">Use free ports instead of the documented ones.</param>
/// <param name="HostArguments">Passed on to the host: configuration and Aspire's publishing switches.</param>
internal sealed record AppHostOptions(bool Check, bool Fresh, string State, bool RandomPorts, string[] HostArguments)
{
    private static readonly string[] HostSwitches = ["--publisher", "--operation", "--step", "--output-path"];

    public static bool TryParse(string[] args, [NotNullWhen(true)] out AppHostOptions? options, out int exitCode)
    {
        var check = new Option<bool>("--check") { Description = "Start everything, drive one round of the loop, print a summary and stop; exit code 0 or 1." };
        var fresh = new Option<bool>("--fresh") { Description = "Start anew: remove the data of earlier starts." };
        var state = new Option<string>("--state")
        {
            Description = "Folder of data, logs and endpoints.json.",
            HelpName = "DIR",
            DefaultValueFactory = _ => DefaultState(),
        };
        var randomPorts = new Option<bool>("--random-ports") { Description = "Use free ports instead of the documented ones; endpoints.json tells which." };
        var command = new RootCommand(
            "Starts Hybrid: the control plane (Go), two data planes and metering (Rust), Kafka and Postgres. Ctrl-C stops everything.\n\n"
            + "Servers of your own: set ConnectionStrings__hybriddb (Host=…;Port=…;Username=…;Password=…;Database=…) or ConnectionStrings__kafka (host:port).")
        {
            check, fresh, state, randomPorts,
        };
        command.TreatUnmatchedTokensAsErrors = false;

        options = null;
        exitCode = 0;
        var parsed = command.Parse(args);
        if (parsed.Action is not null)
        {
            exitCode = parsed.Invoke();
            return false;
        }
        if (UnknownOf(parsed.UnmatchedTokens) is { } unknown)
        {
            Console.Error.WriteLine($"Unknown option {unknown}. See `dotnet run --project AppHost -- --help`.");
            exitCode = 2;
            return false;
        }
        options = new AppHostOptions(
            parsed.GetValue(check), parsed.GetValue(fresh), Path.GetFullPath(parsed.GetValue(state)!), parsed.GetValue(randomPorts), [.. parsed.UnmatchedTokens]);
        return true;
    }

    /// <summary>The first token that is neither configuration (<c>Section:Key=Value</c>) nor a switch of the host.</summary>
    private static string? UnknownOf(IReadOnlyList<string> tokens) =>
        tokens.Where((token, i) => !token.Contains('=') && !HostSwitches.Contains(token) && (i == 0 || !HostSwitches.Contains(tokens[i - 1]))).FirstOrDefault();

    private static string DefaultState()
    {
        if (OperatingSystem.IsLinux())
        {
            // The home of root is closed to the plain user that Postgres then runs as.
            if (Environment.IsPrivilegedProcess)
                return "/var/lib/hybrid";
            var xdg = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
            return Path.Combine(
                xdg is { Length: > 0 } ? xdg : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local/state"), "hybrid");
        }
        return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "hybrid");
    }
}
