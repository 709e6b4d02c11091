using System.Collections;
using System.Diagnostics;
using System.Net;
using Confluent.Kafka;
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
                throw new TimeoutException($"Still waiting for {what} after {clock.Elapsed.TotalSeconds:0.0} s; last seen: {Text(last)}");
            await Task.Delay(Pause, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Looks until what is seen fits.</summary>
    public static Task<T> BecomesAsync<T>(string what, Func<T> look, Func<T, bool> fits, TimeSpan? patience = null) =>
        HoldsAsync(what, () => Task.FromResult(look()), fits, patience);

    /// <summary>Looks until something fits among what is seen.</summary>
    public static async Task<T> FindAsync<T>(string what, Func<IEnumerable<T>> look, Func<T, bool> fits) =>
        (await BecomesAsync(what, () => look().Where(fits).Take(1).ToList(), found => found.Count > 0))[0];

    /// <summary>Asks until the service that is asked can be reached and knows what it is asked for.</summary>
    public static Task<T> AnswersAsync<T>(string what, Func<Task<T>> ask) => HoldsAsync(what, ask, _ => true, retryOn: IsNotYet);

    /// <summary>Whether a failure may be one of a service that is starting or has not received the newest catalog.</summary>
    public static bool IsNotYet(Exception failure) => failure switch
    {
        RpcException rpc => rpc.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded or StatusCode.NotFound or StatusCode.FailedPrecondition,
        HttpRequestException http => http.StatusCode is null or HttpStatusCode.NotFound or HttpStatusCode.ServiceUnavailable,
        NpgsqlException postgres => postgres.IsTransient || postgres is not PostgresException,
        TopicPartitionOffsetException offsets => AreNotYet(offsets.Results.Select(partition => partition.Error)),
        KafkaException kafka => AreNotYet([kafka.Error]),
        _ => false,
    };

    private static bool AreNotYet(IEnumerable<Error> errors) => errors.Where(error => error.IsError).All(error => error.Code is
        ErrorCode.Local_Transport or ErrorCode.Local_AllBrokersDown or ErrorCode.Local_TimedOut or ErrorCode.Local_WaitCoord or ErrorCode.RequestTimedOut
        or ErrorCode.LeaderNotAvailable or ErrorCode.NotLeaderForPartition or ErrorCode.GroupCoordinatorNotAvailable or ErrorCode.NotCoordinatorForGroup
        or ErrorCode.GroupLoadInProgress);

    private static string Text(object? seen) => seen is IEnumerable items and not string ? $"[{string.Join("; ", items.Cast<object?>())}]" : $"{seen}";
}
