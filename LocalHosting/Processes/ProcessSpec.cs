namespace Aspire.Hosting.Processes;

/// <summary>Everything that is needed to start a process.</summary>
/// <param name="FileName">The full path of the program.</param>
/// <param name="Arguments">Its arguments, unquoted.</param>
/// <param name="WorkingDirectory">Where it runs.</param>
/// <param name="Environment">Variables added to those of this process; null takes one away.</param>
internal sealed record ProcessSpec(
    string FileName,
    IReadOnlyList<string> Arguments,
    string WorkingDirectory,
    IReadOnlyDictionary<string, string?> Environment);
