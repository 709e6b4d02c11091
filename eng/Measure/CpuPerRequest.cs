using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Google.Protobuf;
using Hybrid.Pricing.V1;
using Hybrid.Toolchain;

namespace Hybrid.Measure;

/// <summary>CPU per quote beside that of a bare C HTTP/2 server that answers as many bytes, in the same run, interleaved.</summary>
internal static class CpuPerRequest
{
    private const int Requests = 200_000;
    private const int Rounds = 5;
    private const int AnswerBytes = 170;

    public static async Task ReportAsync(RunningSystem system)
    {
        var folder = Directory.CreateTempSubdirectory("hybrid-measure-");
        var (answer, question) = (Path.Combine(folder.FullName, "answer"), Path.Combine(folder.FullName, "question"));
        await File.WriteAllBytesAsync(answer, new byte[AnswerBytes]);
        var quote = new QuoteRequest { CurrencyCode = RunningSystem.Currency, Jurisdiction = system.Jurisdiction, Lines = { new QuoteLine { Sku = system.Sku, Quantity = 3 } } };
        // gRPC's frame: not compressed, length in four bytes.
        await File.WriteAllBytesAsync(question, [0, 0, 0, 0, (byte)quote.CalculateSize(), .. quote.ToByteArray()]);
        var url = new Uri(system.Url("data-plane-1", "grpc"), "/hybrid.pricing.v1.PricingService/Quote");
        string[] ask = ["-d", question, "-H", "content-type: application/grpc", "-H", "te: trailers", url.ToString()];

        var dataPlane = await ServiceProcess.ListeningAsync(system.Url("data-plane-1", "grpc").Port) ?? throw new MeasurementException("data-plane-1 does not run on this machine.");
        var port = FreePort();
        using var bare = StartBareServer(folder.FullName, port);
        try
        {
            List<double> reference = [], quotes = [];
            var before = await system.BookedAsync();
            for (var round = 0; round < Rounds; round++)
            {
                reference.Add(await MicrosecondsAsync(bare.Id, $"http://127.0.0.1:{port}/answer"));
                quotes.Add(await MicrosecondsAsync(dataPlane, ask));
            }
            await WaitForLedgerAsync(system, before + ((long)Requests * Rounds));
            var (c, rust) = (Median(reference), Median(quotes));
            Console.WriteLine($"CPU per request, median of {Rounds} rounds of {Requests}: bare nghttpd {c:0.0} µs, quote {rust:0.0} µs, ratio {rust / c:0.00}");
        }
        finally
        {
            bare.Kill();
            folder.Delete(recursive: true);
        }
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

    /// <summary>CPU time that a process spends on a request of h2load's.</summary>
    private static async Task<double> MicrosecondsAsync(int process, params string[] load)
    {
        var before = ServiceProcess.CpuOf(process);
        var result = await Subprocess.RunAsync("h2load", ["-c", "8", "-m", "16", "-t", "1", "-n", $"{Requests}", .. load]);
        if (result.ExitCode == Subprocess.NotFound)
            throw new MeasurementException("h2load is not on PATH (Debian: nghttp2-client).");
        if (!result.Output.Contains($"{Requests} succeeded, 0 failed, 0 errored", StringComparison.Ordinal))
            throw new MeasurementException($"h2load did not get {Requests} good answers:\n{result.Tail()}");
        return (ServiceProcess.CpuOf(process) - before).TotalMicroseconds / Requests;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static Process StartBareServer(string folder, int port)
    {
        try
        {
            return Process.Start("nghttpd", ["--no-tls", "-a", "127.0.0.1", "-d", folder, $"{port}"]);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new MeasurementException("nghttpd is not on PATH (Debian: nghttp2-server).");
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
