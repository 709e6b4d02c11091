using System.Net;
using Google.Protobuf;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;
using Hybrid.Pricing.V1;

namespace Hybrid.Lab.Scenarios;

/// <summary>
/// nghttp2's server, which answers a file of a quote's size: what the transport alone costs in C. It knows no gRPC, so it and the servers
/// that it is compared with are loaded by <c>h2load</c>, which takes any answer.
/// </summary>
internal static class BareServer
{
    public const string Name = "bare nghttpd (C)";

    private const int AnswerBytes = 170;
    private static readonly HttpClient Http = new() { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };

    public static Twin Twin(string folder)
    {
        File.WriteAllBytes(Path.Combine(folder, "answer"), new byte[AnswerBytes]);
        // Its port is an argument, so a shell passes it on.
        var program = Path.Combine(folder, "start.sh");
        File.WriteAllText(program, $"#!/bin/sh\nexec nghttpd --no-tls -a 127.0.0.1 -d '{folder}' \"$PORT\"\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        return new Twin(Name, program, (port, _) => new() { ["PORT"] = $"{port}" });
    }

    public static async Task<bool> AnswersAsync(Server server)
    {
        using var response = await Http.GetAsync(new Uri(server.Address + "/answer"));
        return response.IsSuccessStatusCode;
    }

    /// <summary>Loads a server with a number of requests: quotes, or the file where it is the bare one.</summary>
    public static async Task<Measurement> MeasureAsync(string scenario, Bench bench, int round, Server server)
    {
        string[] what = [server.Address + "/answer"];
        if (server.Name != Name)
        {
            var question = Path.Combine(bench.Stores.FolderFor(Name), "question");
            await File.WriteAllBytesAsync(question, Framed(QuoteScenario.Basket()), bench.CancellationToken);
            what = ["-d", question, "-H", "content-type: application/grpc", "-H", "te: trailers", server.Address + "/hybrid.pricing.v1.PricingService/Quote"];
        }
        return await H2load.RunAsync(scenario, round, server, bench.Effort.Quotes, ["-c", "8", "-m", "16", .. what], bench.CancellationToken);
    }

    /// <summary>A message as gRPC frames it: not compressed, its length in four bytes.</summary>
    private static byte[] Framed(QuoteRequest request)
    {
        var message = request.ToByteArray();
        var frame = new byte[5 + message.Length];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), message.Length);
        message.CopyTo(frame, 5);
        return frame;
    }
}
