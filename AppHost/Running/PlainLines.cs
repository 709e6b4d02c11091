using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Hybrid.AppHost.Running;

/// <summary>What the person at the terminal sees: our own lines as they are, and only warnings of the host.</summary>
internal sealed class PlainLines() : ConsoleFormatter(FormatterName)
{
    private const string FormatterName = "plain";

    public static void Configure(ILoggingBuilder logging)
    {
        logging.AddFilter("Aspire.Hosting", LogLevel.Warning);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        // The dashboard's keys lie in a folder that only its user reads; a stop during the start is no error.
        logging.AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error);
        logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
        logging.AddConsole(console => console.FormatterName = FormatterName);
        logging.AddConsoleFormatter<PlainLines, ConsoleFormatterOptions>();
    }

    public override void Write<TState>(in LogEntry<TState> entry, IExternalScopeProvider? scopes, TextWriter output)
    {
        var level = entry.LogLevel switch { LogLevel.Warning => "warning: ", >= LogLevel.Error => "error: ", _ => "" };
        output.WriteLine(level + entry.Formatter(entry.State, null) + (entry.Exception is { } e ? $" ({e.Message})" : ""));
    }
}
