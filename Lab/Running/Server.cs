using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Hybrid.Lab.Measuring;
using Hybrid.Toolchain;

namespace Hybrid.Lab.Running;

/// <summary>A twin as it is started: its program, and what is set for it.</summary>
/// <param name="Name">What the report calls it.</param>
/// <param name="Environment">Of its process, given the ports that it may listen on.</param>
internal sealed record Twin(string Name, string Program, Func<int, int, Dictionary<string, string>> Environment)
{
    /// <summary>The same with more variables, under another name.</summary>
    public Twin With(string name, params (string Name, string Value)[] variables) => this with
    {
        Name = name,
        Environment = (port, other) =>
        {
            var environment = Environment(port, other);
            foreach (var (variable, value) in variables)
                environment[variable] = value;
            return environment;
        },
    };
}

/// <summary>A program that runs to be measured, on the server's cores.</summary>
internal sealed class Server : IAsyncDisposable
{
    private const int KeptLines = 40;
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Asking = TimeSpan.FromMilliseconds(2);

    private readonly Process process;
    private readonly ConcurrentQueue<string> lines = new();

    private Server(string name, Process process, int port, int otherPort)
    {
        (Name, this.process, Address, OtherAddress) = (name, process, $"http://127.0.0.1:{port}", $"http://127.0.0.1:{otherPort}");
        process.OutputDataReceived += Keep;
        process.ErrorDataReceived += Keep;
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        Probe = new ProcessProbe(process.Id);
    }

    public string Name { get; }

    /// <summary>Where it serves what is measured.</summary>
    public string Address { get; }

    /// <summary>Where it serves its health, if that is elsewhere.</summary>
    public string OtherAddress { get; }

    /// <summary>From its start to its first answer.</summary>
    public TimeSpan Start { get; private set; }

    public ProcessProbe Probe { get; }

    /// <summary>Its last lines of output.</summary>
    public string Tail() => string.Join('\n', lines);

    /// <summary>Starts a twin, and waits for its first answer.</summary>
    /// <param name="answers">Whether it answers now; exceptions of the network mean not yet.</param>
    /// <exception cref="LabException">It ended, or did not answer in time.</exception>
    public static async Task<Server> StartAsync(Twin twin, Func<Server, Task<bool>> answers, CancellationToken cancellationToken)
    {
        var (port, other) = (FreePort(), FreePort());
        var command = Cores.Server(twin.Program);
        var start = new ProcessStartInfo(command[0], command[1..])
        {
            WorkingDirectory = Workspace.Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in twin.Environment(port, other))
            start.Environment[name] = value;
        var clock = Stopwatch.StartNew();
        var server = new Server(twin.Name, new Process { StartInfo = start }, port, other);
        try
        {
            while (!await server.AnswersAsync(answers))
            {
                if (server.process.HasExited)
                    throw new LabException($"{twin.Name} ended with {server.process.ExitCode}:\n{server.Tail()}");
                if (clock.Elapsed > StartPatience)
                    throw new LabException($"{twin.Name} does not answer after {StartPatience.TotalSeconds:0} s:\n{server.Tail()}");
                await Task.Delay(Asking, cancellationToken);
            }
            server.Start = clock.Elapsed;
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks it to end, and kills it when it does not.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
            await Subprocess.RunAsync("kill", ["-TERM", $"{process.Id}"]);
        try
        {
            using var deadline = new CancellationTokenSource(StopPatience);
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
        }
        process.Dispose();
    }

    private async Task<bool> AnswersAsync(Func<Server, Task<bool>> answers)
    {
        try
        {
            return await answers(this);
        }
        catch (Exception e) when (e is HttpRequestException or Grpc.Core.RpcException or OperationCanceledException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private void Keep(object sender, DataReceivedEventArgs e)
    {
        if (e.Data is null)
            return;
        lines.Enqueue(e.Data);
        while (lines.Count > KeptLines)
            lines.TryDequeue(out _);
    }
}
