namespace Hybrid.Tests.Contract.Planes;

/// <summary>Tests of this collection share one system; it starts when the first of them runs.</summary>
[CollectionDefinition(Name)]
public sealed class SharedPlanes : ICollectionFixture<BarePlanes>
{
    public const string Name = "shared planes";
}

/// <summary>A test on the shared planes.</summary>
[Collection(SharedPlanes.Name)]
public abstract class PlanesTest(BarePlanes planes, ITestOutputHelper output) : SystemTest(planes, output)
{
    protected BarePlanes Planes { get; } = planes;
}
