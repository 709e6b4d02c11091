namespace Hybrid.AppHost.Hosting;

/// <summary>The state of resources that have no process of their own.</summary>
internal static class StateMirror
{
    /// <summary>Shows the state of <paramref name="server"/> as the state of this resource. The host does so only for children of containers.</summary>
    public static IResourceBuilder<T> MirrorsStateOf<T>(this IResourceBuilder<T> builder, IResource server)
        where T : class, IResource =>
        builder
            .WithInitialState(new CustomResourceSnapshot { ResourceType = "Database", Properties = [], State = KnownResourceStates.NotStarted })
            .OnInitializeResource(async (resource, @event, cancellationToken) =>
            {
                await foreach (var change in @event.Notifications.WatchAsync(cancellationToken))
                {
                    if (change.Resource == server)
                    {
                        await @event.Notifications.PublishUpdateAsync(resource, snapshot => snapshot with
                        {
                            State = change.Snapshot.State,
                            StartTimeStamp = change.Snapshot.StartTimeStamp,
                            StopTimeStamp = change.Snapshot.StopTimeStamp,
                        });
                    }
                }
            });
}
