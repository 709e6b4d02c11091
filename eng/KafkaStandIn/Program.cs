using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Hybrid.KafkaStandIn;

// Takes the place of Kafka where there is none: librdkafka's mock cluster, in memory, behind one stable port.
if (args is not [var text] || !int.TryParse(text, CultureInfo.InvariantCulture, out var port) || port is < 1 or > 65535)
{
    await Console.Error.WriteLineAsync("usage: KafkaStandIn PORT\n\nServes Kafka's protocol from memory on 127.0.0.1:PORT until SIGTERM.");
    return 2;
}

using var stop = new CancellationTokenSource();
using var onTerm = System.Runtime.InteropServices.PosixSignalRegistration.Create(System.Runtime.InteropServices.PosixSignal.SIGTERM, Stop);
using var onInt = System.Runtime.InteropServices.PosixSignalRegistration.Create(System.Runtime.InteropServices.PosixSignal.SIGINT, Stop);

using var cluster = new MockCluster();
using var listener = new TcpListener(IPAddress.Loopback, port);
listener.Start();
Console.WriteLine($"Kafka's in-memory stand-in listens on 127.0.0.1:{port}. Nothing survives its end, and each partition keeps only its newest 5 MB.");
await new TcpForwarder(listener, cluster.Bootstrap).RunAsync(stop.Token);
return 0;

void Stop(System.Runtime.InteropServices.PosixSignalContext context)
{
    context.Cancel = true;
    stop.Cancel();
}
