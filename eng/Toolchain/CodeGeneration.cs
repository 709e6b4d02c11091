namespace Hybrid.Toolchain;

/// <summary>Makes the committed Go code of the contracts, and the OpenAPI document. C# and Rust make theirs while they build.</summary>
internal static class CodeGeneration
{
    // A module of its own, which go.mod does not require.
    private const string GrpcGeneratorVersion = "v1.6.1";

    /// <summary>The compiler's builds are universal on macOS.</summary>
    public static string Protoc { get; } = Path.Combine(
        Workspace.GrpcToolsPackage, "tools",
        OperatingSystem.IsMacOS() ? "macosx_universal"
            : System.Runtime.InteropServices.RuntimeInformation.OSArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? "linux_arm64" : "linux_x64",
        "protoc");

    public static async Task RunAsync(Progress progress, CancellationToken cancellationToken)
    {
        var go = await Setup.GoAsync(progress, cancellationToken);
        await progress.StepAsync("Go code of the contracts", async report =>
        {
            var plugins = await SetupLock.HoldAsync(() => PluginFolderAsync(go, report, cancellationToken), progress, cancellationToken);
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

    /// <summary>protoc's plugins, from where the libraries come from too.</summary>
    private static async Task<string> PluginFolderAsync(GoTools go, Action<string> report, CancellationToken cancellationToken)
    {
        if (go.Packages is { } source)
            return (await source.BringAsync(PackageSet.GoGenerators, report, cancellationToken)).Folder;
        var gateway = "github.com/grpc-ecosystem/grpc-gateway/v2";
        var gatewayVersion = Versions.OfGoModule(gateway);
        string[] generators =
        [
            $"google.golang.org/protobuf/cmd/protoc-gen-go@{Versions.OfGoModule("google.golang.org/protobuf")}",
            $"google.golang.org/grpc/cmd/protoc-gen-go-grpc@{GrpcGeneratorVersion}",
            $"{gateway}/protoc-gen-grpc-gateway@{gatewayVersion}",
            $"{gateway}/protoc-gen-openapiv2@{gatewayVersion}",
        ];
        return await StampedFolder.EnsureAsync(
            Path.Combine(Workspace.PrivateFolder, "generators"), StampedFolder.Fingerprint([], [go.Version.ToString(), .. generators]), async draft =>
            {
                var environment = new Dictionary<string, string?>(go.Environment) { ["GOBIN"] = draft };
                foreach (var generator in generators)
                {
                    report($"building {generator}");
                    var install = await Subprocess.RunAsync(
                        go.Program, ["install", generator], Workspace.GoModule, environment, cancellationToken: cancellationToken);
                    if (!install.Succeeded)
                        throw new SetupException($"go install {generator} failed:\n{install.Tail()}");
                }
            });
    }
}
