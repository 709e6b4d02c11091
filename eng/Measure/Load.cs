using System.Globalization;
using System.Text.RegularExpressions;
using Google.Protobuf;
using Hybrid.Pricing.V1;
using Hybrid.Toolchain;

namespace Hybrid.Measure;

/// <summary>Runs h2load.</summary>
internal static partial class Load
{
    /// <summary>The body of one unary gRPC quote, in a file as h2load wants it.</summary>
    public static string QuoteFile(RunningSystem system)
    {
        var quote = new QuoteRequest { CurrencyCode = RunningSystem.Currency, Jurisdiction = system.Jurisdiction };
        quote.Lines.Add(new QuoteLine { Sku = system.Sku, Quantity = 3 });
        var message = quote.ToByteArray();
        var file = Path.GetTempFileName();
        // gRPC's frame: not compressed, length in four bytes.
        File.WriteAllBytes(file, [0, 0, 0, 0, (byte)message.Length, .. message]);
        return file;
    }

    public static IEnumerable<string> Quotes(RunningSystem system, string node, string bodyFile) =>
    [
        "-d", bodyFile, "-H", "content-type: application/grpc", "-H", "te: trailers",
        new Uri(system.Url(node, "grpc"), "/hybrid.pricing.v1.PricingService/Quote").ToString(),
    ];

    /// <returns>Requests a second.</returns>
    public static async Task<double> RunAsync(IEnumerable<string> arguments, int requests)
    {
        var result = await Subprocess.RunAsync("h2load", arguments);
        if (result.ExitCode == Subprocess.NotFound)
            throw new MeasurementException("h2load is not on PATH (Debian: nghttp2-client).");
        if (!result.Output.Contains($"{requests} succeeded, 0 failed, 0 errored", StringComparison.Ordinal))
            throw new MeasurementException($"h2load did not get {requests} good answers:\n{result.Tail()}");
        return double.Parse(Rate().Match(result.Output).Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"finished in [^,]+, ([\d.]+) req/s")]
    private static partial Regex Rate();
}
