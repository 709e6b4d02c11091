using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Hybrid.Pricing.V1;
using Hybrid.Tests.Contract.Suites;
using Hybrid.Tests.Contract.Twins;
using Hybrid.Toolchain;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>
/// What gRPC promises of a call holds for clients as they are, whatever answers quotes: Grpc.Net here, and grpc-go with the same cases,
/// and with frames that are wrong, in tests/GrpcGo.
/// </summary>
public sealed class StockClientTests(QuotePorts ports, ITestOutputHelper output) : IClassFixture<QuotePorts>
{
    /// <summary>Calls that a connection may have open at once.</summary>
    private const int MaxStreams = 256;

    /// <summary>A message may be this large.</summary>
    private const int MaxMessage = 1 << 20;

    private const string QuotePath = "/hybrid.pricing.v1.PricingService/Quote";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static DateTime Patience => DateTime.UtcNow + Eventually.Patience;

    [Fact]
    public async Task Grpc_go_gets_what_it_is_promised()
    {
        var tools = await SetUp.ToolsAsync();
        await using var delayed = await ports.StartDelayedAsync();
        var environment = new Dictionary<string, string?>(tools.Go.Environment)
        {
            ["QUOTES_QUICK"] = ports.Quick.Address.Authority,
            ["QUOTES_STUCK"] = ports.Stuck.Address.Authority,
            ["QUOTES_DELAYED"] = delayed.Address.Authority,
            ["QUOTES_DELAYED_PID"] = $"{delayed.Id}",
        };
        var run = await Subprocess.RunAsync(
            tools.Go.Program, ["test", "-race", "-count=1", "-v", "./..."], Workspace.GrpcGo, environment, cancellationToken: Cancellation);
        output.WriteLine(run.Output);
        var report = SuiteReport.Parse(run.Output.TrimEnd().Split('\n'));
        Assert.True(run.Succeeded, $"{report}: {string.Join(", ", report.Failed)}\n{run.Tail(80)}");
        Assert.Empty(report.Skipped);
        Assert.NotEqual(0, report.Passed);
    }

    [Theory]
    [InlineData(StatusCode.DeadlineExceeded)]
    [InlineData(StatusCode.Cancelled)]
    public async Task Calls_that_are_given_up_free_their_places(StatusCode how)
    {
        using var client = new Client(ports.Stuck);
        await client.ServesAsync(quotes: false);
        for (var round = 0; round < 2; round++)
        {
            using var cancel = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            var deadline = how == StatusCode.DeadlineExceeded ? DateTime.UtcNow.AddSeconds(1) : Patience;
            var calls = Enumerable.Range(0, MaxStreams - 1).Select(_ => client.CodeAsync(Basket("mug", 1), new(deadline: deadline, cancellationToken: cancel.Token))).ToList();
            // One place is left, and what came before it has been read when it is answered.
            await client.ServesAsync(quotes: false);
            if (how == StatusCode.Cancelled)
                await cancel.CancelAsync();
            Assert.All(await Task.WhenAll(calls), code => Assert.Equal(how, code));
        }
        await client.ServesAsync(quotes: false);
        Assert.Equal(1, client.Connections);
    }

    [Theory]
    [InlineData(MaxMessage, StatusCode.OK)]
    [InlineData(MaxMessage + 1, StatusCode.ResourceExhausted)]
    [InlineData(2 * MaxMessage, StatusCode.ResourceExhausted)]
    public async Task A_message_may_be_a_mebibyte_and_no_larger(int size, StatusCode expected)
    {
        using var client = new Client(ports.Quick);
        // Padded with a field that is not known; its tag and length take four bytes.
        using var padded = new MemoryStream();
        Basket("mug", 1).WriteTo(padded);
        using (var writer = new CodedOutputStream(padded, leaveOpen: true))
        {
            writer.WriteTag(15, WireFormat.WireType.LengthDelimited);
            writer.WriteBytes(ByteString.CopyFrom(new byte[size - Basket("mug", 1).CalculateSize() - 4]));
        }
        Assert.Equal(size, padded.Length);
        Assert.Equal(expected, await client.CodeAsync(QuoteRequest.Parser.ParseFrom(padded.ToArray())));
        await client.ServesAsync();
        Assert.Equal(1, client.Connections);
    }

    /// <summary>Together they are much more than the window of the connection, which is the smallest that .NET has.</summary>
    [Fact]
    public async Task The_largest_answers_come_whole_through_small_windows()
    {
        using var client = new Client(ports.Quick, handler => handler.InitialHttp2StreamWindowSize = 65_535);
        var quotes = await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => client.Pricing.QuoteAsync(Basket(QuotePorts.LongSku, 200), deadline: Patience, cancellationToken: Cancellation).ResponseAsync));
        Assert.All(quotes, quote =>
        {
            Assert.Equal((200, 200 * 1_190L), (quote.Lines.Count, quote.GrossMinor));
            Assert.True(quote.CalculateSize() > 15_000);
        });
        Assert.Equal(1, client.Connections);
    }

    [Fact]
    public async Task Calls_beyond_the_limit_of_a_connection_wait_for_their_turn_and_the_drain_answers_what_is_in_flight()
    {
        await using var delayed = await ports.StartDelayedAsync();
        using var client = new Client(delayed);
        var codes = await Task.WhenAll(Enumerable.Range(0, (2 * MaxStreams) + 10).Select(_ => client.CodeAsync(Basket("mug", 1))));
        Assert.All(codes, code => Assert.Equal(StatusCode.OK, code));

        var calls = Enumerable.Range(0, 50).Select(_ => client.CodeAsync(Basket("mug", 1))).ToList();
        await client.ServesAsync(quotes: false);
        await delayed.TerminateAsync();
        Assert.All(await Task.WhenAll(calls), code => Assert.Equal(StatusCode.OK, code));
        Assert.Equal(1, client.Connections);
        // The client was told to make no more calls on this connection, and nobody takes another one.
        Assert.Equal(StatusCode.Unavailable, await client.CodeAsync(Basket("mug", 1)));
    }

    [Fact]
    public async Task Calls_that_are_not_ordinary_are_answered_and_the_connection_goes_on()
    {
        using var client = new Client(ports.Quick);
        foreach (var (name, method, headers, expected) in ((string, string, Metadata, StatusCode)[])
                 [
                     ("compressed", QuotePath, new() { { "grpc-internal-encoding-request", "gzip" } }, StatusCode.Unimplemented),
                     ("an unknown method", "/hybrid.pricing.v1.PricingService/Other", [], StatusCode.Unimplemented),
                     ("an unknown service", "/hybrid.pricing.v2.PricingService/Quote", [], StatusCode.Unimplemented),
                     ("metadata", QuotePath, new() { { "x-text", "a b,c" }, { "x-text", "again" }, { "x-bytes-bin", [0, 0xff, 0x80] } }, StatusCode.OK),
                     ("much metadata", QuotePath, new() { { "x-text", new string('x', 8 << 10) } }, StatusCode.OK),
                     // The client knows the limit from the settings, and does not send it.
                     ("too much metadata", QuotePath, new() { { "x-text", new string('x', 20 << 10) } }, StatusCode.Internal),
                 ])
        {
            var code = await client.CodeAsync(Basket("mug", 1), new(headers, Patience), method);
            Assert.True(code == expected, $"{name}: {code}");
            await client.ServesAsync();
        }
        Assert.Equal(1, client.Connections);
    }

    /// <summary>What the client library hides: where the status stands, and what is said of compression.</summary>
    [Theory]
    [InlineData("application/grpc", "", "none", HttpStatusCode.OK, "3")]
    [InlineData("application/grpc", "gzip", "mug", HttpStatusCode.OK, "12")]
    [InlineData("application/json", "", "mug", HttpStatusCode.UnsupportedMediaType, null)]
    public async Task An_answer_without_a_message_is_its_headers_alone(string type, string encoding, string what, HttpStatusCode expected, string? status)
    {
        using var client = new Client(ports.Quick);
        var message = (what == "none" ? new QuoteRequest() : Basket(what, 1)).ToByteArray();
        using var content = new ByteArrayContent([0, 0, 0, 0, (byte)message.Length, .. message]) { Headers = { ContentType = new MediaTypeHeaderValue(type) } };
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(ports.Quick.Address, QuotePath))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        request.Headers.TE.ParseAdd("trailers");
        if (encoding.Length > 0)
            request.Headers.Add("grpc-encoding", encoding);
        using var response = await client.Http.SendAsync(request, Cancellation);
        Assert.Equal((expected, status), (response.StatusCode, Header("grpc-status")));
        Assert.Empty(await response.Content.ReadAsByteArrayAsync(Cancellation));
        Assert.Empty(response.TrailingHeaders);
        Assert.Equal(status is null ? null : "application/grpc", response.Content.Headers.ContentType?.MediaType);
        if (encoding.Length > 0)
            Assert.Equal("identity", Header("grpc-accept-encoding"));

        string? Header(string name) => response.Headers.TryGetValues(name, out var values) ? Assert.Single(values) : null;
    }

    [Fact]
    public async Task One_connection_serves_everything()
    {
        using var client = new Client(ports.Quick);
        using var watch = client.Health.Watch(new() { Service = "hybrid.pricing.v1.PricingService" }, deadline: Patience, cancellationToken: Cancellation);
        Assert.True(await watch.ResponseStream.MoveNext(Cancellation));
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, watch.ResponseStream.Current.Status);
        using var stream = client.Pricing.QuoteStream(deadline: Patience, cancellationToken: Cancellation);
        foreach (var sku in (string[])["mug", "nope", QuotePorts.LongSku])
        {
            await stream.RequestStream.WriteAsync(new() { CorrelationId = sku, Quote = Basket(sku, 1) }, Cancellation);
            await client.ServesAsync();
            Assert.True(await stream.ResponseStream.MoveNext(Cancellation));
            var answer = stream.ResponseStream.Current;
            Assert.Equal((sku, sku == "nope" ? "SKU_UNKNOWN" : null), (answer.CorrelationId, answer.Error?.Reason));
        }
        await stream.RequestStream.CompleteAsync();
        Assert.False(await stream.ResponseStream.MoveNext(Cancellation));
        using var late = client.Pricing.QuoteStream(deadline: DateTime.UtcNow.AddSeconds(1), cancellationToken: Cancellation);
        var ended = await Assert.ThrowsAsync<RpcException>(() => late.ResponseStream.MoveNext(Cancellation));
        Assert.Equal(StatusCode.DeadlineExceeded, ended.StatusCode);
        await client.ServesAsync();
        Assert.Equal(1, client.Connections);
    }

    [Fact]
    public async Task Keep_alive_pings_keep_an_idle_connection()
    {
        const int answerToAPing = 17;
        using var client = new Client(ports.Quick, handler =>
        {
            (handler.KeepAlivePingDelay, handler.KeepAlivePingTimeout) = (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10));
            handler.KeepAlivePingPolicy = HttpKeepAlivePingPolicy.Always;
        });
        await client.ServesAsync();
        var before = client.Received;
        await Eventually.BecomesAsync("three answers to pings", () => client.Received - before, bytes => bytes >= 3 * answerToAPing);
        await client.ServesAsync();
        Assert.Equal(1, client.Connections);
    }

    private static QuoteRequest Basket(string sku, int lines) => new()
    {
        CurrencyCode = "EUR",
        Jurisdiction = "DE",
        Lines = { Enumerable.Range(0, lines).Select(_ => new QuoteLine { Sku = sku, Quantity = 1 }) },
    };

    /// <summary>Grpc.Net with at most one connection at a time, which counts what it makes and receives.</summary>
    private sealed class Client : IDisposable
    {
        private readonly GrpcChannel channel;
        private int connections;
        private long received;

        public Client(RunningTwin plane, Action<SocketsHttpHandler>? configure = null)
        {
            var handler = new SocketsHttpHandler { EnableMultipleHttp2Connections = false, ConnectCallback = ConnectAsync };
            configure?.Invoke(handler);
            Http = new HttpClient(handler);
            channel = GrpcChannel.ForAddress(plane.Address, new() { HttpClient = Http });
        }

        public HttpClient Http { get; }
        public int Connections => Volatile.Read(ref connections);
        public long Received => Interlocked.Read(ref received);
        public PricingService.PricingServiceClient Pricing => new(channel);
        public Health.HealthClient Health => new(channel);

        /// <summary>The connection answers health and, where the data plane answers at once, a quote.</summary>
        public async Task ServesAsync(bool quotes = true)
        {
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, (await Health.CheckAsync(new(), deadline: Patience)).Status);
            if (quotes)
                Assert.Equal(1_190, (await Pricing.QuoteAsync(Basket("mug", 1), deadline: Patience)).GrossMinor);
        }

        /// <summary>The status that a call is answered with.</summary>
        public async Task<StatusCode> CodeAsync(QuoteRequest request, CallOptions? options = null, string path = QuotePath)
        {
            var names = path.Split('/');
            var method = new Method<QuoteRequest, QuoteResponse>(
                MethodType.Unary, names[1], names[2], Marshallers.Create(m => m.ToByteArray(), QuoteRequest.Parser.ParseFrom), Marshallers.Create(m => m.ToByteArray(), QuoteResponse.Parser.ParseFrom));
            using var call = channel.CreateCallInvoker().AsyncUnaryCall(method, null, options ?? new(deadline: Patience), request);
            try
            {
                await call;
                return StatusCode.OK;
            }
            catch (RpcException e)
            {
                return e.StatusCode;
            }
        }

        public void Dispose()
        {
            channel.Dispose();
            Http.Dispose();
        }

        private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
            Interlocked.Increment(ref connections);
            return new Counted(this, socket);
        }

        private sealed class Counted(Client client, Socket socket) : NetworkStream(socket, ownsSocket: true)
        {
            public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
            {
                var count = await base.ReadAsync(buffer, cancellationToken);
                Interlocked.Add(ref client.received, count);
                return count;
            }
        }
    }
}
