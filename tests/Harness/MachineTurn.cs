namespace Hybrid.Tests.Harness;

/// <summary>
/// Keeps the test projects of this clone from running at the same time, in whichever processes the runner starts them. A kill test
/// beside a latency budget would fail both.
/// </summary>
public sealed class MachineTurn : IAsyncLifetime
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private FileStream? held;

    /// <summary>Waits until no other test project runs.</summary>
    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Toolchain.Workspace.PrivateFolder);
        while (held is null)
        {
            try
            {
                held = new FileStream(Path.Combine(Toolchain.Workspace.PrivateFolder, "tests.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                await Task.Delay(Pause);
            }
        }
    }

    /// <summary>Lets the next one run.</summary>
    public async ValueTask DisposeAsync()
    {
        if (held is not null)
            await held.DisposeAsync();
    }
}
