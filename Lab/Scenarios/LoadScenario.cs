using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;

namespace Hybrid.Lab.Scenarios;

/// <summary>Servers that run beside each other and are loaded in turn.</summary>
internal abstract class LoadScenario : IScenario
{
    /// <summary>From a server's start until its idle memory is read.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(500);

    public abstract string Name { get; }
    public abstract string Question { get; }
    public abstract LabPrograms Needs { get; }

    protected abstract int TwinCount { get; }

    protected abstract bool NeedsStores { get; }

    public virtual string? WhyNot(Effort effort) => null;

    public TimeSpan Estimate(Effort effort) =>
        (TwinCount * effort.Rounds * (effort.Load + effort.WarmUp + TimeSpan.FromSeconds(0.3))) + (TwinCount * TimeSpan.FromSeconds(1));

    public async Task<IReadOnlyList<Measurement>> RunAsync(Bench bench)
    {
        if (NeedsStores)
            await bench.Stores.StartAsync(bench.CancellationToken);
        var (servers, measurements) = (new List<Server>(), new List<Measurement>());
        try
        {
            foreach (var twin in Twins(bench.Stores))
            {
                bench.Say($"starting {twin.Name}");
                servers.Add(await Server.StartAsync(twin, AnswersAsync, bench.CancellationToken));
            }
            await Task.Delay(Rest, bench.CancellationToken);
            var idle = servers.ToDictionary(server => server, server => server.Probe.ResidentMegabytes());
            for (var round = 1; round <= bench.Effort.Rounds; round++)
            {
                foreach (var server in Turns.Of(servers, round))
                {
                    bench.Say($"round {round} of {bench.Effort.Rounds}, {server.Name}");
                    var measured = await MeasureAsync(bench, round, server);
                    var values = new Dictionary<string, double>(measured.Values);
                    if (round == 1)
                        (values[Metric.Start], values[Metric.IdleMemory]) = (server.Start.TotalMilliseconds, idle[server]);
                    measurements.Add(measured with { Values = values });
                }
            }
            return measurements;
        }
        finally
        {
            await Turns.EndAsync(servers);
        }
    }

    protected abstract IEnumerable<Twin> Twins(Stores stores);

    /// <summary>Whether a server answers what it will be asked.</summary>
    protected abstract Task<bool> AnswersAsync(Server server);

    protected abstract Task<Measurement> MeasureAsync(Bench bench, int round, Server server);
}
