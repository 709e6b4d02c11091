using CsCheck;
using Hybrid.AppHost.Running;

namespace Hybrid.Tests.Contract.Start;

/// <summary>The order in which AppHost stops resources.</summary>
public sealed class StopOrderTests
{
    private static readonly Dictionary<string, string[]> Topology = new()
    {
        ["postgres"] = [],
        ["kafka"] = [],
        ["control-plane"] = ["postgres", "kafka"],
        ["data-plane-1"] = ["kafka", "control-plane"],
        ["data-plane-2"] = ["kafka", "control-plane"],
        ["metering"] = ["kafka", "control-plane"],
    };

    [Fact]
    public void Dependents_stop_before_what_they_wait_for()
    {
        Assert.Equal([["data-plane-1", "data-plane-2", "metering"], ["control-plane"], ["kafka", "postgres"]], Layers(Topology.Keys, resource => Topology[resource]));
    }

    [Fact]
    public void What_is_waited_for_but_not_listed_is_passed_over() =>
        Assert.Equal([["a"], ["b"]], Layers(["b", "a"], resource => resource == "a" ? ["b", "external"] : []));

    [Fact]
    public void Resources_that_wait_for_each_other_stop_together_with_what_is_left() =>
        Assert.Equal(
            [["c"], ["a", "b", "d"]],
            Layers(["a", "b", "c", "d"], resource => resource switch { "a" => ["b"], "b" => ["a", "d"], "c" => ["a"], _ => [] }));

    [Fact]
    public void Nothing_has_no_layers() => Assert.Empty(Layers([], _ => []));

    [Fact]
    public void Every_resource_stops_once_and_before_whatever_it_waits_for()
    {
        // Without cycles: each waits only for resources of smaller numbers.
        var graphs = Gen.Int[0, 8].SelectMany(size => Gen.Bool.Array[size * size].Select(edges => (Size: size, Edges: edges)));
        graphs.Sample(graph =>
        {
            IEnumerable<int> WaitsFor(int from) => Enumerable.Range(0, from).Where(to => graph.Edges[(from * graph.Size) + to]);
            var layers = StopOrder.Layers(Enumerable.Range(0, graph.Size), WaitsFor).ToList();
            var layerOf = layers.SelectMany((layer, i) => layer.Select(resource => (resource, i))).ToDictionary(x => x.resource, x => x.i);
            return layerOf.Count == graph.Size && Enumerable.Range(0, graph.Size).All(from => WaitsFor(from).All(to => layerOf[from] < layerOf[to]));
        });
    }

    private static string[][] Layers(IEnumerable<string> all, Func<string, string[]> waitsFor) =>
        [.. StopOrder.Layers(all, waitsFor).Select(layer => layer.Order(StringComparer.Ordinal).ToArray())];
}
