using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.ConsoleView;

/// <summary>What the host itself has to say: on the terminal, and in the log of its own name.</summary>
internal sealed class HostLog(ConsoleOutput console, ResourceLogs logs)
{
    public void Say(string line)
    {
        console.WriteLine(ConsoleOutput.HostName, line);
        logs.Append(ConsoleOutput.HostName, line, isError: false);
    }
}
