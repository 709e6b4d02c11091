using System.Text;
using Hybrid.Lab.Measuring;
using Hybrid.Lab.Running;

namespace Hybrid.Lab.Scenarios;

/// <summary>The article's web service in both languages, in a closed loop over HTTP/1.1.</summary>
internal sealed class ItemsScenario : LoadScenario
{
    private const string Item = """{"name":"Mug","price":19.99}""";
    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(1) };

    private readonly string path;
    private readonly bool posts;
    private readonly int connections;

    private ItemsScenario(string name, string question, string path, bool posts, int connections) =>
        (Name, Question, this.path, this.posts, this.connections) = (name, question, path, posts, connections);

    public static ItemsScenario Plaintext { get; } = new(
        "plaintext", "What does an answer without any work cost?", "/plaintext", posts: false, connections: 32);

    public static ItemsScenario Json { get; } = new(
        "json", "What does the article's POST /items cost, JSON and tax alone?", "/items", posts: true, connections: 32);

    public static ItemsScenario Postgres { get; } = new(
        "postgres", "What is left of the difference when each request is an insert into Postgres?", "/stored-items", posts: true, connections: 32);

    public static ItemsScenario Sustained { get; } = new(
        "sustained", "How long do the slowest requests wait when more callers come than a server can serve?", "/items", posts: true, connections: 512);

    public override string Name { get; }
    public override string Question { get; }
    public override LabPrograms Needs => LabPrograms.Items;
    protected override int TwinCount => 3 + Tunings.Count + (ChecksGenerator ? 1 : 0);

    /// <summary>What else may be set for a Go program that must not use much memory, or may use all processors; shown where the claim is about memory.</summary>
    private IReadOnlyList<(string Name, (string, string)[] Variables)> Tunings => connections < 512 ? [] :
    [
        ("Go, GOMEMLIMIT=64MiB", [("GOGC", "off"), ("GOMEMLIMIT", "64MiB")]),
        ("Go, GOMAXPROCS=4", [("GOMAXPROCS", "4")]),
    ];

    /// <summary>Whether another generator asks the same, too: whoever does not trust ours sees what it says.</summary>
    private bool ChecksGenerator => !posts && H2load.IsHere;

    protected override bool NeedsStores => path == "/stored-items";

    protected override IEnumerable<Twin> Twins(Stores stores)
    {
        var database = NeedsStores ? stores.Postgres : null;
        yield return LabTwins.GoItems(database);
        yield return LabTwins.GoItems(database).With("Go, GOGC=400", ("GOGC", "400"));
        foreach (var (name, variables) in Tunings)
            yield return LabTwins.GoItems(database).With(name, variables);
        yield return LabTwins.RustItems(database);
    }

    protected override async Task<bool> AnswersAsync(Server server)
    {
        using var request = new HttpRequestMessage(posts ? HttpMethod.Post : HttpMethod.Get, server.Address + path);
        request.Content = posts ? new StringContent(Item, Encoding.UTF8, "application/json") : null;
        using var response = await Http.SendAsync(request);
        return response.IsSuccessStatusCode;
    }

    protected override async Task<Measurement> MeasureAsync(Bench bench, int round, Server server)
    {
        string[] what = ["--method", "http", "--path", path, "--closed", "--connections", $"{connections}", "--timeout", "10s"];
        var measured = await Load.RunAsync(Name, round, server, bench.Effort, posts ? [.. what, "--body", Item] : what, bench.CancellationToken);
        if (!ChecksGenerator)
            return measured;
        var check = await H2load.RunAsync(Name, round, server, bench.Effort.Quotes, ["--h1", "-c", $"{connections}", server.Address + path], bench.CancellationToken);
        return measured with { Values = new Dictionary<string, double>(measured.Values) { [Metric.H2loadCpuMicros] = check.Values[Metric.CpuMicros] } };
    }
}
