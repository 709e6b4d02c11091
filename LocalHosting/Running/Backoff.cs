namespace Aspire.Hosting.Running;

/// <summary>How long to wait before a crashed process is started again: a random time below a bound that doubles.</summary>
internal sealed class Backoff(Func<double> random)
{
    public static readonly TimeSpan First = TimeSpan.FromSeconds(0.2);
    public static readonly TimeSpan Cap = TimeSpan.FromSeconds(10);

    /// <summary>After so long in health, a crash counts as the first again.</summary>
    public static readonly TimeSpan ResetAfter = TimeSpan.FromSeconds(30);

    private int _attempt;

    /// <summary>The bound of the next wait.</summary>
    public TimeSpan Bound => TimeSpan.FromTicks(Math.Min((long)(First.Ticks * Math.Pow(2, Math.Min(_attempt, 30))), Cap.Ticks));

    /// <summary>The next wait.</summary>
    /// <param name="healthyFor">How long the process was healthy before it crashed.</param>
    public TimeSpan Next(TimeSpan healthyFor)
    {
        if (healthyFor >= ResetAfter)
            _attempt = 0;
        var wait = Bound * random();
        _attempt++;
        return wait;
    }
}
