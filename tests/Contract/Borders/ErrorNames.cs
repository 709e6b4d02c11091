using System.Text.RegularExpressions;
using Grpc.Core;

namespace Hybrid.Tests.Contract.Borders;

/// <summary>gRPC codes by the names that the protos and the problem documents use.</summary>
internal static partial class ErrorNames
{
    public static string Of(StatusCode code) => WordStart().Replace(code.ToString(), "_$1").ToUpperInvariant();

    [GeneratedRegex("(?<=[a-z])([A-Z])")]
    private static partial Regex WordStart();
}
