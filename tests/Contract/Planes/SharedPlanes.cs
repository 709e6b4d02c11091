namespace Hybrid.Tests.Contract.Planes;

/// <summary>Tests of this collection share one system; it starts when the first of them runs.</summary>
[CollectionDefinition(Name)]
public sealed class SharedPlanes : ICollectionFixture<BarePlanes>
{
    public const string Name = "shared planes";
}
