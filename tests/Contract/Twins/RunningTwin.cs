using System.Net;
using System.Net.Sockets;

namespace Hybrid.Tests.Contract.Twins;

/// <summary>A twin that runs, and where.</summary>
internal sealed class RunningTwin : IAsyncDisposable
{
    private readonly ChildProcess process;
    private readonly StateDirectory state;

    private RunningTwin(ChildProcess process, StateDirectory state, Uri address) => (this.process, this.state, Address) = (process, state, address);

    public string Name => process.Name;
    public int Id => process.Id;
    public Uri Address { get; }

    /// <summary>Starts a twin, and waits until it accepts connections.</summary>
    /// <param name="environment">Its variables, given the port that it is to listen on and another one, and a folder of its own.</param>
    public static async Task<RunningTwin> StartAsync(string name, string program, Func<int, int, string, Dictionary<string, string?>> environment)
    {
        var (port, other) = (FreePort(), FreePort());
        var state = new StateDirectory();
        var variables = environment(port, other, state.Path);
        // Whatever receives the telemetry of the tests, it is not for these.
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = null;
        var twin = new RunningTwin(ChildProcess.Start(name, [program], state.Path, variables), state, new Uri($"http://127.0.0.1:{port}"));
        try
        {
            await twin.process.WaitAsync("to accept connections", () => ConnectAsync(port), failure => failure is SocketException);
            return twin;
        }
        catch
        {
            await twin.DisposeAsync();
            throw;
        }
    }

    /// <summary>Its last lines, for the report of a failure.</summary>
    public string Tail() => string.Join('\n', process.Tail(30));

    /// <summary>Runs a test on it, whose failure is reported with its last lines.</summary>
    public async Task TestAsync(Func<Task> test)
    {
        try
        {
            await test();
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{Name}: {e.Message}\n{Tail()}", e);
        }
    }

    /// <summary>Ends it at once, in the middle of what it does.</summary>
    public Task KillAsync() => process.SignalAsync("KILL");

    /// <summary>Asks it to end.</summary>
    public Task TerminateAsync() => process.SignalAsync("TERM");

    public async ValueTask DisposeAsync()
    {
        await process.DisposeAsync();
        state.Dispose();
    }

    private static async Task<bool> ConnectAsync(int port)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port);
        return true;
    }

    private static int FreePort() => AppHost.Start.Ports.Free().Metering;
}
