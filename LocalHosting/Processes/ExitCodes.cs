using System.Globalization;

namespace Aspire.Hosting.Processes;

/// <summary>Exit codes as people read them.</summary>
internal static class ExitCodes
{
    /// <summary>By agreement: the configuration is bad, and trying again would not help.</summary>
    public const int BadConfiguration = 2;

    public static string Describe(int code)
    {
        string? meaning = code switch
        {
            BadConfiguration => "bad configuration",
            126 => "not executable",
            127 => "command not found",
            129 => "hung up",
            130 => "interrupted",
            131 => "quit",
            132 => "illegal instruction",
            134 => "aborted",
            135 => "bus error",
            136 => "arithmetic error",
            137 => "killed",
            139 => "segmentation fault",
            141 => "broken pipe",
            143 => "terminated",
            _ => null,
        };
        return string.Create(CultureInfo.InvariantCulture, $"code {code}{(meaning is null ? "" : $" ({meaning})")}");
    }
}
