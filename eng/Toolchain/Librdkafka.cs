using System.Runtime.InteropServices;

namespace Hybrid.Toolchain;

/// <summary>The C client of Kafka that the Rust crates link, out of the package that the .NET client brings.</summary>
internal static class Librdkafka
{
    /// <summary>Lays the library out under the names that a linker and a loader look for.</summary>
    /// <returns>Its folder.</returns>
    public static string Ensure()
    {
        var folder = Path.Combine(Workspace.PrivateFolder, "librdkafka");
        Directory.CreateDirectory(folder);
        var (source, name, link) = Build();
        var library = Path.Combine(folder, name);
        if (!File.Exists(library))
            File.Copy(Path.Combine(Workspace.LibrdkafkaPackage, source), library);
        if (link is not null && !File.Exists(Path.Combine(folder, link)))
            File.CreateSymbolicLink(Path.Combine(folder, link), name);
        return folder;
    }

    private static (string Source, string Name, string? Link) Build()
    {
        var arm = RuntimeInformation.OSArchitecture == Architecture.Arm64;
        if (OperatingSystem.IsMacOS())
            return (arm ? "runtimes/osx-arm64/native/librdkafka.dylib" : "runtimes/osx-x64/native/librdkafka.dylib", "librdkafka.1.dylib", "librdkafka.dylib");
        if (OperatingSystem.IsWindows())
            return ("build/native/lib/win/x64/win-x64-Release/v142/librdkafka.lib", "rdkafka.lib", null);
        // Of the package's Linux builds this one needs nothing but libc.
        return (arm ? "runtimes/linux-arm64/native/librdkafka.so" : "runtimes/linux-x64/native/centos8-librdkafka.so", "librdkafka.so.1", "librdkafka.so");
    }
}
