using Hybrid.Measure;

// Figures of a running topology (Linux, with ss of iproute2, and h2load and nghttpd of nghttp2, on PATH). docs/performance.md says how to read them.
if (args is not [var state])
{
    await Console.Error.WriteLineAsync(
        "usage: Measure STATE_DIR\n\nMeasures the topology that `dotnet run --project AppHost` has started on that state folder. Nothing else should run.");
    return 2;
}

try
{
    using var target = await RunningSystem.OpenAsync(state);
    await CpuPerRequest.ReportAsync(target);
    await MemoryUnderLoad.ReportAsync(target);
    await Convergence.ReportAsync(target);
    return 0;
}
catch (MeasurementException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}
