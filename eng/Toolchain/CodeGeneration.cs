using Hybrid.Toolchain.Debian;

namespace Hybrid.Toolchain;

/// <summary>Makes the committed Go code of the contracts, and the OpenAPI document. C# and Rust make theirs while they build.</summary>
internal static class CodeGeneration
{
    private static readonly string PackageList = Path.Combine(Workspace.Root, "eng/debian/go-generators.txt");

    public static string Protoc { get; } = Path.Combine(
        Workspace.GrpcToolsPackage, "tools",
        OperatingSystem.IsWindows() ? "windows_x64/protoc.exe" : OperatingSystem.IsMacOS() ? "macosx_x64/protoc" : "linux_x64/protoc");

    public static async Task RunAsync(GoTools go, Progress progress, CancellationToken cancellationToken)
    {
        await progress.StepAsync("Go code of the contracts", async report =>
        {
            var plugins = await PluginFolderAsync(go, report, cancellationToken);
            var output = Path.Combine(Workspace.GoModule, "gen");
            if (Directory.Exists(output))
                Directory.Delete(output, recursive: true);
            Directory.CreateDirectory(output);
            var http = Path.Combine(Workspace.Protos, "hybrid/http.yaml");
            string[] files =
            [
                .. Directory.GetFiles(Path.Combine(Workspace.Protos, "hybrid"), "*.proto", SearchOption.AllDirectories)
                    .Select(file => Path.GetRelativePath(Workspace.Protos, file)).Order(StringComparer.Ordinal),
            ];
            const string module = "module=hybrid/control-plane/gen";
            var result = await Subprocess.RunAsync(
                Protoc,
                [
                    "-I", Workspace.Protos, "-I", Path.Combine(Workspace.GrpcToolsPackage, "build/native/include"),
                    "--go_out", output, "--go_opt", module,
                    "--go-grpc_out", output, "--go-grpc_opt", module,
                    "--grpc-gateway_out", output, "--grpc-gateway_opt", $"{module},grpc_api_configuration={http},generate_unbound_methods=false",
                    "--openapiv2_out", Path.Combine(Workspace.GoModule, "internal/httpapi"),
                    "--openapiv2_opt", $"grpc_api_configuration={http},allow_merge=true,merge_file_name=openapi,json_names_for_fields=true,disable_default_errors=true",
                    .. files,
                ],
                environment: [new("PATH", plugins + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH"))],
                cancellationToken: cancellationToken);
            return result.Succeeded ? true : throw new SetupException($"protoc failed:\n{result.Tail(40)}");
        });
    }

    /// <summary>Debian's plugins where its packages stand in, else those of the module proxy.</summary>
    private static async Task<string> PluginFolderAsync(GoTools go, Action<string> report, CancellationToken cancellationToken)
    {
        if (go.LibrariesAreDebian)
        {
            var packages = await File.ReadAllLinesAsync(PackageList, cancellationToken);
            await new DebianPackages(DebianSuite.Name).BringAsync(packages, _ => false, GoSetup.DebianRoot, report, cancellationToken);
            return Path.Combine(GoSetup.DebianRoot, "usr/bin");
        }
        report("building the generators");
        var folder = Path.Combine(Workspace.PrivateFolder, "bin");
        var environment = new Dictionary<string, string?>(go.Environment) { ["GOBIN"] = folder };
        foreach (var generator in (string[])
                 [
                     "google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
                     "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway", "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2",
                 ])
        {
            var install = await Subprocess.RunAsync(
                go.Program, ["install", generator + "@latest"], Workspace.GoModule, environment, cancellationToken: cancellationToken);
            if (!install.Succeeded)
                throw new SetupException($"go install {generator} failed:\n{install.Tail()}");
        }
        return folder;
    }
}
