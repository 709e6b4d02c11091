using System.Diagnostics;
using Grpc.Core;
using Npgsql;

namespace Hybrid.Tests.Harness;

/// <summary>Waits on conditions. A test that needs something to have happened asks until it has, and reports what it saw last.</summary>
internal static class Eventually
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>Asks until the answer fits.</summary>
    /// <param name="what">Completes the sentence "Still waiting for …".</param>
    /// <param name="retryOn">Exceptions of <paramref name="ask"/> that only mean "not yet". Everything else fails the test at once.</param>
    public static async Task<T> HoldsAsync<T>(
        string what, Func<Task<T>> ask, Func<T, bool> fits, TimeSpan? patience = null, Func<Exception, bool>? retryOn = null)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var clock = Stopwatch.StartNew();
        object? last = null;
        while (true)
        {
            try
            {
                var answer = await ask();
                if (fits(answer))
                    return answer;
                last = answer;
            }
            catch (Exception e) when (retryOn?.Invoke(e) == true)
            {
                last = e.Message;
            }
            if (clock.Elapsed > (patience ?? Patience))
                throw new TimeoutException($"Still waiting for {what} after {clock.Elapsed.TotalSeconds:0.0} s; last seen: {last}");
            await Task.Delay(Pause, cancellation);
        }
    }

    /// <summary>Asks until the service that is asked can be reached and knows what it is asked for.</summary>
    public static Task<T> AnswersAsync<T>(string what, Func<Task<T>> ask, TimeSpan? patience = null) =>
        HoldsAsync(what, ask, _ => true, patience, IsNotYet);

    /// <summary>Whether a failure may be one of a service that is starting or has not received the newest catalog.</summary>
    public static bool IsNotYet(Exception failure) => failure switch
    {
        RpcException rpc => rpc.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded or StatusCode.NotFound or StatusCode.FailedPrecondition,
        HttpRequestException http => http.StatusCode is null or System.Net.HttpStatusCode.NotFound or System.Net.HttpStatusCode.ServiceUnavailable,
        NpgsqlException postgres => postgres.IsTransient || postgres is not PostgresException,
        _ => false,
    };
}
