using CsCheck;
using Hybrid.AppHost.Running;

namespace Hybrid.Tests.Contract.Start;

/// <summary>The order in which AppHost stops resources.</summary>
public sealed class OrderedStopTests
{
    [Fact]
    public void Every_resource_stops_once_and_before_whatever_it_waits_for()
    {
        // Without cycles: each waits only for resources of smaller numbers, and for one that is not listed.
        var graphs = Gen.Int[0, 8].SelectMany(size => Gen.Bool.Array[size * size].Select(edges => (Size: size, Edges: edges)));
        graphs.Sample(graph =>
        {
            IEnumerable<int> WaitsFor(int from) => Enumerable.Range(0, from).Where(to => graph.Edges[(from * graph.Size) + to]);
            var layers = OrderedStop.Layers(Enumerable.Range(0, graph.Size), from => WaitsFor(from).Append(-1)).ToList();
            var layerOf = layers.SelectMany((layer, i) => layer.Select(resource => (resource, i))).ToDictionary(x => x.resource, x => x.i);
            return layerOf.Count == graph.Size && Enumerable.Range(0, graph.Size).All(from => WaitsFor(from).All(to => layerOf[from] < layerOf[to]));
        });
    }

    [Fact]
    public void Resources_that_wait_for_each_other_stop_together_with_what_is_left() =>
        Assert.Equal(
            [["c"], ["a", "b", "d"]],
            OrderedStop.Layers(["a", "b", "c", "d"], resource => resource switch { "a" => ["b"], "b" => ["a", "d"], "c" => (string[])["a"], _ => [] })
                .Select(layer => layer.Order(StringComparer.Ordinal).ToArray()));
}
