namespace Hybrid.Toolchain;

/// <summary>
/// One set-up at a time on this clone, within this process and across processes. The operating system releases the lock when
/// its holder ends, in whatever way.
/// </summary>
internal static class SetupLock
{
    // EWOULDBLOCK of Linux and of macOS.
    private static readonly int[] HeldByAnother = [11, 35];
    private static readonly SemaphoreSlim InProcess = new(1, 1);

    public static async Task<T> HoldAsync<T>(Func<Task<T>> body, Progress progress, CancellationToken cancellationToken)
    {
        await InProcess.WaitAsync(cancellationToken);
        try
        {
            await using var hold = await LockFileAsync(progress, cancellationToken);
            return await body();
        }
        finally
        {
            InProcess.Release();
        }
    }

    private static async Task<FileStream> LockFileAsync(Progress progress, CancellationToken cancellationToken)
    {
        var file = Path.Combine(Directory.CreateDirectory(Workspace.PrivateFolder).FullName, "lock");
        for (var first = true; ; first = false)
        {
            try
            {
                return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException e) when (HeldByAnother.Contains(e.HResult))
            {
                if (first)
                    progress.Say("Another set-up of this clone is running; waiting for it.");
                await Task.Delay(TimeSpan.FromMilliseconds(100), cancellationToken);
            }
        }
    }
}
