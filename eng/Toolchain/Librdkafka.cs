using System.Runtime.InteropServices;

namespace Hybrid.Toolchain;

/// <summary>The C client of Kafka that the Rust crates link, from the package that the .NET client uses too.</summary>
internal static class Librdkafka
{
    /// <summary>Lays the library out under the names that a linker and a loader look for.</summary>
    /// <returns>Its folder.</returns>
    public static Task<string> EnsureAsync(CancellationToken cancellationToken)
    {
        // Of the package's builds for Linux these are the ones that need nothing but glibc.
        var (build, name, link) = (OperatingSystem.IsMacOS(), RuntimeInformation.OSArchitecture) switch
        {
            (true, Architecture.Arm64) => ("osx-arm64/native/librdkafka.dylib", "librdkafka.1.dylib", "librdkafka.dylib"),
            (true, _) => ("osx-x64/native/librdkafka.dylib", "librdkafka.1.dylib", "librdkafka.dylib"),
            (_, Architecture.Arm64) => ("linux-arm64/native/librdkafka.so", "librdkafka.so.1", "librdkafka.so"),
            _ => ("linux-x64/native/centos8-librdkafka.so", "librdkafka.so.1", "librdkafka.so"),
        };
        var source = Path.Combine(Workspace.LibrdkafkaPackage, "runtimes", build);
        return StampedFolder.EnsureAsync(Path.Combine(Workspace.PrivateFolder, "librdkafka"), StampedFolder.Fingerprint([], source), async draft =>
        {
            var library = Path.Combine(draft, name);
            File.Copy(source, library);
            File.CreateSymbolicLink(Path.Combine(draft, link), name);
            if (OperatingSystem.IsMacOS())
                await RenameAsync(library, name, cancellationToken);
        });
    }

    /// <summary>
    /// On macOS a program finds a library by the name that the library had at link time, here a folder of the machine. This
    /// makes it one that the program's rpath resolves.
    /// </summary>
    private static async Task RenameAsync(string library, string name, CancellationToken cancellationToken)
    {
        var renamed = await Subprocess.RunAsync("install_name_tool", ["-id", "@rpath/" + name, library], cancellationToken: cancellationToken);
        if (!renamed.Succeeded)
            throw new SetupException($"install_name_tool cannot prepare librdkafka. Install the Xcode command line tools: xcode-select --install\n{renamed.Tail()}");
    }
}
