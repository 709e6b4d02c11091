namespace Hybrid.Measure;

/// <summary>Resident memory of each process of ours while both nodes together price 5,000 quotes a second.</summary>
internal static class MemoryUnderLoad
{
    private const int Seconds = 20;
    private const int Connections = 5;
    private const int RatePerConnection = 500;
    private const int Requests = Seconds * Connections * RatePerConnection;

    public static async Task ReportAsync(RunningSystem system)
    {
        var body = Load.QuoteFile(system);
        string[] shape = ["-c", $"{Connections}", "-m", "4", "-t", "1", "-n", $"{Requests}", "--rps", $"{RatePerConnection}"];
        var load = Task.WhenAll(((string[])["data-plane-1", "data-plane-2"]).Select(node => Load.RunAsync([.. shape, .. Load.Quotes(system, node, body)], Requests)));
        var peak = RunningSystem.Services.ToDictionary(s => s, _ => 0.0);
        while (!load.IsCompleted)
        {
            foreach (var service in RunningSystem.Services)
                peak[service] = Math.Max(peak[service], ServiceProcess.ResidentMegabytes(ServiceProcess.IdOf(service, system.Url(service, "http"))));
            await Task.WhenAny(load, Task.Delay(TimeSpan.FromSeconds(1)));
        }
        var rate = (await load).Sum();
        File.Delete(body);
        Console.WriteLine($"Resident memory at {rate:0} quotes a second: {string.Join(", ", peak.Select(p => $"{p.Key} {p.Value:0} MB"))}");
    }
}
