using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Harness;

/// <summary>A program of the system that a test starts itself, as a person without the host would: with no variable but those that are named.</summary>
internal sealed class StartedProgram : IAsyncDisposable
{
    private static readonly string[] Inherited = ["PATH", "HOME", "LD_LIBRARY_PATH"];

    private readonly Process process;
    private readonly ConcurrentQueue<string> lines = new();

    private StartedProgram(Process process, Uri http, Uri grpc)
    {
        this.process = process;
        Http = http;
        Grpc = grpc;
        process.OutputDataReceived += (_, e) => lines.Enqueue(e.Data ?? "");
        process.ErrorDataReceived += (_, e) => lines.Enqueue(e.Data ?? "");
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public Uri Http { get; }

    public Uri Grpc { get; }

    /// <summary>Starts it on free ports, and waits until it is ready.</summary>
    public static async Task<StartedProgram> StartAsync(string program, IReadOnlyDictionary<string, string> environment, HttpClient client)
    {
        var (http, grpc) = (FreePort(), FreePort());
        var start = new ProcessStartInfo(program) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var name in start.Environment.Keys.Except(Inherited).ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        start.Environment["HTTP_PORT"] = http.ToString(CultureInfo.InvariantCulture);
        start.Environment["GRPC_PORT"] = grpc.ToString(CultureInfo.InvariantCulture);
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        var started = new StartedProgram(process, new Uri($"http://127.0.0.1:{http}"), new Uri($"http://127.0.0.1:{grpc}"));
        try
        {
            await Eventually.HoldsAsync(
                $"{Path.GetFileName(program)} to be ready", () => client.GetAsync(new Uri(started.Http, "/readyz"), TestContext.Current.CancellationToken),
                answer => process.HasExited || answer.IsSuccessStatusCode, retryOn: e => !process.HasExited && Eventually.IsNotYet(e));
        }
        catch (Exception e)
        {
            await started.DisposeAsync();
            throw new InvalidOperationException($"{program}: {e.Message}\n{string.Join('\n', started.lines)}", e);
        }
        return started;
    }

    /// <summary>Asks it to end by SIGTERM, and waits until it has drained.</summary>
    public async Task StopAsync()
    {
        await Subprocess.RunAsync("sh", ["-c", $"kill -s TERM {process.Id}"]);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Eventually.Patience);
        Assert.True(process.ExitCode == 0, $"It ended with {process.ExitCode}:\n{string.Join('\n', lines)}");
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
            process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
