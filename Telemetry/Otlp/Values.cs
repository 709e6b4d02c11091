using Google.Protobuf;
using Google.Protobuf.Collections;
using Hybrid.Telemetry.Model;
using OpenTelemetry.Proto.Common.V1;
using OpenTelemetry.Proto.Resource.V1;

namespace Hybrid.Telemetry.Otlp;

/// <summary>Turns values of the wire into values of the model.</summary>
internal static class Values
{
    public const int TraceIdLength = 16;
    public const int SpanIdLength = 8;

    public static AttributeCollection ToAttributes(RepeatedField<KeyValue> attributes) => attributes.Count == 0
        ? AttributeCollection.Empty
        : new AttributeCollection(attributes.Select(a => new KeyValuePair<string, object?>(a.Key, ToObject(a.Value))));

    public static TelemetrySource ToSource(Resource? resource) =>
        TelemetrySource.From(resource is null ? AttributeCollection.Empty : ToAttributes(resource.Attributes));

    public static object? ToObject(AnyValue? value) => value?.ValueCase switch
    {
        AnyValue.ValueOneofCase.StringValue => value.StringValue,
        AnyValue.ValueOneofCase.BoolValue => value.BoolValue,
        AnyValue.ValueOneofCase.IntValue => value.IntValue,
        AnyValue.ValueOneofCase.DoubleValue => value.DoubleValue,
        AnyValue.ValueOneofCase.BytesValue => value.BytesValue.ToByteArray(),
        AnyValue.ValueOneofCase.ArrayValue => value.ArrayValue.Values.Select(ToObject).ToArray(),
        AnyValue.ValueOneofCase.KvlistValue => ToAttributes(value.KvlistValue.Values),
        _ => null,
    };

    public static DateTimeOffset ToTime(ulong unixNanoseconds) => DateTimeOffset.UnixEpoch.AddTicks(ToTicks(unixNanoseconds));

    public static DateTimeOffset? ToTimeOrNull(ulong unixNanoseconds) => unixNanoseconds == 0 ? null : ToTime(unixNanoseconds);

    public static TimeSpan ToDuration(ulong start, ulong end) => end <= start ? TimeSpan.Zero : TimeSpan.FromTicks(ToTicks(end - start));

    public static string ToId(ByteString id) => Convert.ToHexStringLower(id.Span);

    /// <summary>Whether it has the right length and is not all zero.</summary>
    public static bool IsId(ByteString id, int length) => id.Length == length && id.Span.IndexOfAnyExcept((byte)0) >= 0;

    private static long ToTicks(ulong nanoseconds) => (long)(nanoseconds / TimeSpan.NanosecondsPerTick);
}
