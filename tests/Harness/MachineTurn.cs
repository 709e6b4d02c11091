using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>
/// Keeps the test projects of this clone from running at the same time, in whichever processes the runner starts them. A kill test
/// beside a latency budget would fail both.
/// </summary>
public sealed class MachineTurn : IAsyncLifetime
{
    private FileStream? held;

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Workspace.PrivateFolder);
        while (held is null)
        {
            try
            {
                held = File.Open(Path.Combine(Workspace.PrivateFolder, "tests.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200));
            }
        }
    }

    public ValueTask DisposeAsync() => held?.DisposeAsync() ?? default;
}
