namespace Hybrid.Tests.Harness;

/// <summary>A state folder of a test's own, open to the plain user that Postgres may run as, and removed at the end.</summary>
internal sealed class StateDirectory : IDisposable
{
    public StateDirectory() => File.SetUnixFileMode(
        Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);

    public string Path { get; } = Directory.CreateTempSubdirectory("hybrid-test-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
