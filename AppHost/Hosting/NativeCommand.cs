namespace Aspire.Hosting;

/// <summary>The command line of a native server, which is known only when its preparation is done.</summary>
internal sealed class NativeCommand
{
    /// <summary>
    /// The orchestrator reads a resource's program before any preparation runs, but its arguments after it. <c>env</c> replaces
    /// itself by the program that its arguments name, so the process is the server's own.
    /// </summary>
    public const string Launcher = "env";

    private string[] line = [];

    public void Set(string[] commandLine) => line = commandLine;

    public void AddTo(CommandLineArgsCallbackContext context)
    {
        foreach (var argument in line)
            context.Args.Add(argument);
    }
}
