using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.ConsoleView;

/// <summary>What the host itself has to say: on the terminal, and in the log of its own name.</summary>
internal sealed class HostLog(ConsoleOutput console, ResourceLogs logs)
{
    /// <summary>Says why the run cannot be, or cannot go on.</summary>
    public void SayFailure(string line)
    {
        ConsoleOutput.WriteFailure(line);
        logs.Append(ConsoleOutput.HostName, line, isError: true);
    }

    public void Say(string line)
    {
        console.WriteLine(ConsoleOutput.HostName, line);
        logs.Append(ConsoleOutput.HostName, line, isError: false);
    }
}
