using Hybrid.Tests.Contract.Planes;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>A test of what the planes answer at their borders.</summary>
[Collection(SharedPlanes.Name)]
public abstract class BorderTest(BarePlanes planes, ITestOutputHelper output) : SystemTest(planes, output)
{
    protected BarePlanes Planes { get; } = planes;
}
