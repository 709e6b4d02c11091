using System.Runtime.InteropServices;

namespace Aspire.Hosting.Processes;

internal static partial class NativeMethods
{
    public const int SigKill = 9;
    public const int SigTerm = 15;

    /// <summary>Sends a signal; to a whole process group when the id is negative. 0 when it was sent.</summary>
    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    public static partial int Kill(int pid, int signal);
}
