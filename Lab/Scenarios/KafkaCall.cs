using System.Buffers.Binary;
using System.Diagnostics;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Hybrid.Lab.PricingNative;
using Hybrid.Lab.Running;

namespace Hybrid.Lab.Scenarios;

/// <summary>A call as two records: a question on one topic, which another thread prices and answers on a second one.</summary>
internal sealed class KafkaCall : IAsyncDisposable
{
    private const string Questions = "hybrid.lab.questions", Answers = "hybrid.lab.answers";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly IProducer<Null, byte[]> producer;
    private readonly IConsumer<Null, byte[]> answers;
    private readonly CancellationTokenSource stop = new();
    private readonly Task responder;
    private long number;

    private KafkaCall(string bootstrap, PricingSnapshot snapshot)
    {
        producer = Producer(bootstrap);
        answers = Consumer(bootstrap, Answers);
        responder = Task.Factory.StartNew(() => Respond(bootstrap, snapshot), stop.Token, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    public static async Task<KafkaCall> StartAsync(string bootstrap, PricingSnapshot snapshot)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = bootstrap }).Build();
        await admin.CreateTopicsAsync(((string[])[Questions, Answers]).Select(topic => new TopicSpecification { Name = topic, NumPartitions = 1, ReplicationFactor = 1 }));
        var call = new KafkaCall(bootstrap, snapshot);
        call.Measure(5);
        return call;
    }

    public (double Nanos, double Allocated) Measure(int calls)
    {
        var (start, before) = (Stopwatch.GetTimestamp(), GC.GetTotalAllocatedBytes());
        for (var i = 0; i < calls; i++)
            Ask();
        return (Stopwatch.GetElapsedTime(start).TotalNanoseconds / calls, (GC.GetTotalAllocatedBytes() - before) / (double)calls);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await responder;
        producer.Dispose();
        answers.Dispose();
        stop.Dispose();
    }

    private static IProducer<Null, byte[]> Producer(string bootstrap) => new ProducerBuilder<Null, byte[]>(
        new ProducerConfig { BootstrapServers = bootstrap, LingerMs = 0, Acks = Acks.All, EnableIdempotence = true }).Build();

    private static IConsumer<Null, byte[]> Consumer(string bootstrap, string topic)
    {
        var consumer = new ConsumerBuilder<Null, byte[]>(new ConsumerConfig { BootstrapServers = bootstrap, GroupId = "lab", EnableAutoCommit = false, FetchWaitMaxMs = 100 }).Build();
        consumer.Assign(new TopicPartitionOffset(topic, 0, Offset.Beginning));
        return consumer;
    }

    private void Ask()
    {
        var question = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(question, ++number);
        producer.Produce(Questions, new Message<Null, byte[]> { Value = question });
        var answer = answers.Consume(Patience) ?? throw new LabException($"Kafka brought no answer within {Patience.TotalSeconds:0} s.");
        if (BinaryPrimitives.ReadInt64LittleEndian(answer.Message.Value) != number)
            throw new LabException("Kafka brought another answer than the one that was asked for.");
    }

    private void Respond(string bootstrap, PricingSnapshot snapshot)
    {
        using var questions = Consumer(bootstrap, Questions);
        using var replies = Producer(bootstrap);
        using var basket = new Basket("EUR", Stores.Jurisdiction, [(Stores.Sku, 3)]);
        var lines = new QuotedLine[1];
        while (!stop.IsCancellationRequested)
        {
            if (questions.Consume(TimeSpan.FromMilliseconds(100)) is not { } question)
                continue;
            var totals = snapshot.Quote(basket, DateTimeOffset.UtcNow, lines);
            var answer = new byte[2 * sizeof(long)];
            question.Message.Value.CopyTo(answer, 0);
            BinaryPrimitives.WriteInt64LittleEndian(answer.AsSpan(sizeof(long)), totals.GrossMinor);
            replies.Produce(Answers, new Message<Null, byte[]> { Value = answer });
        }
    }
}
