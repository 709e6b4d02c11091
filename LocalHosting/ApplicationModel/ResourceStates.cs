using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>The names of the states that a resource can be in.</summary>
public static class KnownResourceStates
{
    /// <summary>Described, and not begun.</summary>
    public static readonly string NotStarted = nameof(NotStarted);

    /// <summary>Held back until others are ready.</summary>
    public static readonly string Waiting = nameof(Waiting);

    public static readonly string Starting = nameof(Starting);

    public static readonly string Running = nameof(Running);

    /// <summary>Could not start, and is not tried again.</summary>
    public static readonly string FailedToStart = nameof(FailedToStart);

    /// <summary>Ended, or crashed and not yet back.</summary>
    public static readonly string Exited = nameof(Exited);

    /// <summary>Did its work and ended.</summary>
    public static readonly string Finished = nameof(Finished);

    public static readonly string Stopping = nameof(Stopping);

    /// <summary>The states in which nothing more happens by itself.</summary>
    public static readonly IReadOnlyList<string> TerminalStates = [FailedToStart, Exited, Finished];
}

/// <summary>The name of a state, comparable with a text.</summary>
public sealed record ResourceStateSnapshot(string Text, string? Style = null)
{
    public static implicit operator ResourceStateSnapshot?(string? s) => s is null ? null : new(s);

    public static ResourceStateSnapshot? ToResourceStateSnapshot(string? s) => s;
}

/// <summary>An address of a resource.</summary>
public sealed record UrlSnapshot(string? Name, string Url, bool IsInternal);

/// <summary>How a resource is at one moment.</summary>
public sealed record CustomResourceSnapshot
{
    public required string ResourceType { get; init; }

    public ResourceStateSnapshot? State { get; init; }

    /// <summary>Null while there is no process, or no check has answered yet.</summary>
    public HealthStatus? HealthStatus { get; init; }

    public int? ExitCode { get; init; }

    public int? ProcessId { get; init; }

    /// <summary>How often the process was started again after it had ended by itself.</summary>
    public int Restarts { get; init; }

    public DateTime? StartTimeStamp { get; init; }

    public IReadOnlyList<UrlSnapshot> Urls { get; init; } = [];

    internal bool IsHealthy => State?.Text == KnownResourceStates.Running
        && HealthStatus == Microsoft.Extensions.Diagnostics.HealthChecks.HealthStatus.Healthy;
}

/// <summary>A resource has become what the snapshot says.</summary>
public sealed class ResourceEvent(IResource resource, string resourceId, CustomResourceSnapshot snapshot)
{
    public IResource Resource { get; } = resource;

    /// <summary>The name of the instance: that of the resource, with a number where there are replicas.</summary>
    public string ResourceId { get; } = resourceId;

    public CustomResourceSnapshot Snapshot { get; } = snapshot;
}
