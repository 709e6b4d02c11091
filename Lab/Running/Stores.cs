using System.Diagnostics;
using System.Text.Json.Nodes;
using Grpc.Net.Client;
using Hybrid.Catalog.V1;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Running;

/// <summary>Postgres, Kafka and the control plane, as AppHost starts them, in a state folder of their own. Started when they are first needed.</summary>
internal sealed class Stores(Progress progress) : IAsyncDisposable
{
    public const string Jurisdiction = "LAB";
    public const string Sku = "lab-mug";

    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(15);

    private readonly string state = Directory.CreateTempSubdirectory("hybrid-lab-").FullName;
    private Process? host;
    private JsonNode? endpoints;

    public string ControlPlaneGrpc => (string)endpoints!["resources"]!["control-plane"]!["grpc"]!;
    public string Kafka => (string)endpoints!["connectionStrings"]!["kafka"]!;
    public bool KafkaIsStandIn => (bool)endpoints!["kafkaIsStandIn"]!;

    /// <summary>As a URI, which both languages' drivers take.</summary>
    public string Postgres => (string)endpoints!["postgresUri"]!;

    /// <summary>A folder for a server's own files, which ends with the run.</summary>
    public string FolderFor(string server) => Directory.CreateDirectory(Path.Combine(state, "servers", server.Replace(' ', '-'))).FullName;

    /// <summary>Starts them, unless they run already, with a small catalog to price.</summary>
    /// <exception cref="LabException">They did not become healthy.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (endpoints is not null)
            return;
        if (!OperatingSystem.IsWindows() && Environment.IsPrivilegedProcess)
            File.SetUnixFileMode(state, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        await progress.StepAsync("Postgres, Kafka and the control plane", async report =>
        {
            var start = new ProcessStartInfo("dotnet", [AppHost, "--only", "control-plane", "--random-ports", "--infrastructure", "native", "--state", state])
            {
                WorkingDirectory = Path.Combine(Workspace.Root, "AppHost"),
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            // What Visual Studio and `dotnet run` take from launchSettings.json.
            start.Environment["DOTNET_ENVIRONMENT"] = "Development";
            var last = "";
            host = new Process { StartInfo = start };
            host.OutputDataReceived += (_, e) => report(last = e.Data ?? last);
            host.ErrorDataReceived += (_, e) => report(last = e.Data ?? last);
            host.Start();
            host.BeginOutputReadLine();
            host.BeginErrorReadLine();
            var (file, clock) = (Path.Combine(state, "endpoints.json"), Stopwatch.StartNew());
            while (!File.Exists(file))
            {
                if (host.HasExited || clock.Elapsed > StartPatience)
                    throw new LabException($"AppHost did not start the stores: {last}");
                await Task.Delay(100, cancellationToken);
            }
            endpoints = JsonNode.Parse(await File.ReadAllTextAsync(file, cancellationToken));
            return true;
        });
        await StockAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (host is { HasExited: false })
        {
            await Subprocess.RunAsync("kill", ["-TERM", $"{host.Id}"]);
            await host.WaitForExitAsync();
        }
        host?.Dispose();
        Directory.Delete(state, recursive: true);
    }

    /// <summary>AppHost in the output folder of the configuration that the Lab was built in.</summary>
    private static string AppHost { get; } = Path.Combine(
        Workspace.Root, "AppHost/bin", Path.GetRelativePath(Path.Combine(AppContext.BaseDirectory, "../.."), AppContext.BaseDirectory), "AppHost.dll");

    private async Task StockAsync(CancellationToken cancellationToken)
    {
        using var channel = GrpcChannel.ForAddress(ControlPlaneGrpc);
        var catalog = new CatalogService.CatalogServiceClient(channel);
        var rule = new TaxRule { Jurisdiction = Jurisdiction, Category = "standard", RatePpm = 190_000 };
        await catalog.CreateTaxRuleAsync(new() { TaxRule = rule }, cancellationToken: cancellationToken);
        var item = new Item { Sku = Sku, Name = "Mug", UnitPrice = new() { CurrencyCode = "EUR", MinorUnits = 1_999 } };
        await catalog.CreateItemAsync(new() { Item = item }, cancellationToken: cancellationToken);
        var promotion = new Promotion { PromotionId = Sku, Name = "Lab", PercentOffPpm = 100_000, Budget = new() { CurrencyCode = "EUR", MinorUnits = 1_000_000_000_000 } };
        promotion.Skus.Add(Sku);
        await catalog.CreatePromotionAsync(new() { Promotion = promotion }, cancellationToken: cancellationToken);
    }
}
