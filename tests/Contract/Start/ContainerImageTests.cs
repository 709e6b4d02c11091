using Hybrid.Toolchain;
using Microsoft.Extensions.Configuration;

namespace Hybrid.Tests.Contract.Start;

/// <summary>The names of container images.</summary>
public sealed class ContainerImageTests
{
    [Theory]
    [InlineData(null, "postgres", "17.6")]
    [InlineData("", "postgres", "17.6")]
    [InlineData("hybrid-local/postgres:15", "hybrid-local/postgres", "15")]
    [InlineData("images.example:5000/postgres:16", "images.example:5000/postgres", "16")]
    public void An_image_has_a_name_and_a_tag(string? named, string image, string tag) =>
        Assert.Equal((image, tag), ContainerImage.Of(Configuration(named), "Postgres", "postgres:17.6"));

    [Theory]
    [InlineData("postgres")]
    [InlineData("images.example:5000/postgres")]
    public void An_image_without_a_tag_is_refused(string named) =>
        Assert.Contains(named, Assert.Throws<SetupException>(() => ContainerImage.Of(Configuration(named), "Postgres", "postgres:17.6")).Message);

    private static IConfiguration Configuration(string? image) =>
        new ConfigurationBuilder().AddInMemoryCollection([new("Hybrid:Images:Postgres", image)]).Build();
}
