using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Hybrid.Measure;

/// <summary>CPU per quote beside that of a bare C HTTP/2 server that answers as many bytes, in the same run, interleaved.</summary>
internal static class CpuPerRequest
{
    private const int Requests = 200_000;
    private const int Rounds = 5;
    private const int AnswerBytes = 170;
    private static readonly string[] Shape = ["-c", "8", "-m", "16", "-t", "1", "-n", $"{Requests}"];

    public static async Task ReportAsync(RunningSystem system)
    {
        var body = Load.QuoteFile(system);
        var dataPlane = ServiceProcess.IdOf("data-plane-1", system.Url("data-plane-1", "http"));
        using var bare = BareServer.Start();
        List<double> reference = [], quote = [];
        var before = await system.BookedAsync();
        for (var round = 0; round < Rounds; round++)
        {
            reference.Add(await MicrosecondsAsync(bare.Id, [.. Shape, bare.Url]));
            quote.Add(await MicrosecondsAsync(dataPlane, [.. Shape, .. Load.Quotes(system, "data-plane-1", body)]));
        }
        await WaitForLedgerAsync(system, before + ((long)Requests * Rounds));
        File.Delete(body);
        var (c, rust) = (Median(reference), Median(quote));
        Console.WriteLine($"CPU per request, median of {Rounds} rounds of {Requests}: bare nghttpd {c:0.0} µs, quote {rust:0.0} µs, ratio {rust / c:0.00}");
    }

    /// <summary>Every quote of the load was answered well, or the ledger would not have it.</summary>
    private static async Task WaitForLedgerAsync(RunningSystem system, long expected)
    {
        var clock = Stopwatch.StartNew();
        long booked;
        while ((booked = await system.BookedAsync()) < expected && clock.Elapsed < TimeSpan.FromMinutes(2))
            await Task.Delay(TimeSpan.FromMilliseconds(100));
        if (booked != expected)
            throw new MeasurementException($"The ledger has {booked} quotes, expected {expected}.");
        Console.WriteLine($"All {expected} quotes are in the ledger, {clock.Elapsed.TotalSeconds:0.0} s after the last.");
    }

    private static async Task<double> MicrosecondsAsync(int process, IEnumerable<string> load)
    {
        var before = ServiceProcess.CpuOf(process);
        await Load.RunAsync(load, Requests);
        return (ServiceProcess.CpuOf(process) - before).TotalMicroseconds / Requests;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private sealed class BareServer(Process process, string folder, int port) : IDisposable
    {
        public int Id => process.Id;

        public string Url => $"http://127.0.0.1:{port}/answer";

        public static BareServer Start()
        {
            var folder = Directory.CreateTempSubdirectory("hybrid-measure-").FullName;
            File.WriteAllBytes(Path.Combine(folder, "answer"), new byte[AnswerBytes]);
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            var port = ((IPEndPoint)listener.LocalEndpoint).Port;
            listener.Stop();
            try
            {
                return new BareServer(Process.Start("nghttpd", ["--no-tls", "-a", "127.0.0.1", "-d", folder, $"{port}"]), folder, port);
            }
            catch (System.ComponentModel.Win32Exception)
            {
                throw new MeasurementException("nghttpd is not on PATH (Debian: nghttp2-server).");
            }
        }

        public void Dispose()
        {
            process.Kill();
            process.Dispose();
            Directory.Delete(folder, recursive: true);
        }
    }
}
