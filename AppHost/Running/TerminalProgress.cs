using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Hybrid.AppHost.Running;

/// <summary>The progress of preparations on the terminal. Resources that share one build report the same line, which is shown once.</summary>
internal sealed class TerminalProgress(ILoggerFactory logs)
{
    private readonly ILogger terminal = logs.CreateLogger(Terminal.Category);
    private readonly ConcurrentDictionary<string, bool> said = new();

    public void Say(string line)
    {
        if (said.TryAdd(line, true))
            terminal.LogInformation("{Line}", line);
    }
}
