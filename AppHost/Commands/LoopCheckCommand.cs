namespace Hybrid.AppHost.Commands;

/// <summary>The command <em>Check the loop</em> of the control plane.</summary>
internal static class LoopCheckCommand
{
    public const string Name = "check-loop";

    /// <summary>Adds the command. It prices on each of <paramref name="dataPlanes"/>, and looks for the quotes in this control plane's ledger.</summary>
    public static IResourceBuilder<T> WithLoopCheckCommand<T>(this IResourceBuilder<T> controlPlane, IReadOnlyList<IResourceBuilder<IResourceWithEndpoints>> dataPlanes)
        where T : class, IResourceWithEndpoints =>
        controlPlane.WithCommand(Name, "Check the loop", async context =>
        {
            using var check = new LoopCheck(
                controlPlane.GetEndpoint("http").Url, [.. dataPlanes.Select(node => (node.Resource.Name, node.GetEndpoint("http").Url))]);
            try
            {
                return CommandResults.Success(await check.RunAsync(context.CancellationToken));
            }
            catch (LoopCheckException e)
            {
                return CommandResults.Failure(e.Message);
            }
        }, new CommandOptions
        {
            Description = "Creates an item, prices it on every node and waits until the ledger has each quote to the cent.",
            IconName = "CheckmarkCircle",
            IsHighlighted = true,
        });
}
