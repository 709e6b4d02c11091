namespace Aspire.Hosting.Processes;

/// <summary>Finds programs.</summary>
internal static class ExecutablePath
{
    private static readonly string[] s_extensions = OperatingSystem.IsWindows()
        ? (Environment.GetEnvironmentVariable("PATHEXT") ?? ".EXE;.CMD;.BAT").Split(';', StringSplitOptions.RemoveEmptyEntries)
        : [];

    /// <summary>The full path of a command: from the working directory when it has a separator, else from <c>PATH</c>.</summary>
    /// <returns>Null when there is no such program, or it may not be executed.</returns>
    public static string? Find(string command, string workingDirectory)
    {
        if (command.Contains('/', StringComparison.Ordinal) || command.Contains(Path.DirectorySeparatorChar, StringComparison.Ordinal))
            return Candidates(Path.GetFullPath(command, workingDirectory)).FirstOrDefault(IsExecutable);
        return (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .SelectMany(directory => Candidates(Path.Combine(directory, command)))
            .FirstOrDefault(IsExecutable);
    }

    /// <summary>What to say to the person when <see cref="Find"/> found nothing.</summary>
    public static string Advice(string command, string workingDirectory)
    {
        if (!command.Contains('/', StringComparison.Ordinal) && !command.Contains(Path.DirectorySeparatorChar, StringComparison.Ordinal))
            return $"the program '{command}' is not on PATH. Install it, or add its folder to PATH.";
        var path = Path.GetFullPath(command, workingDirectory);
        return File.Exists(path)
            ? $"{path} is not executable. Make it so (chmod +x)."
            : $"{path} does not exist. Build or install it, then start again.";
    }

    private static IEnumerable<string> Candidates(string path) => [path, .. s_extensions.Select(e => path + e)];

    private static bool IsExecutable(string path)
    {
        if (!File.Exists(path))
            return false;
        const UnixFileMode Execute = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        return OperatingSystem.IsWindows() || (File.GetUnixFileMode(path) & Execute) != 0;
    }
}
