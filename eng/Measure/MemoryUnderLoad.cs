namespace Hybrid.Measure;

/// <summary>Resident memory of each process while both nodes together price 5,000 quotes a second.</summary>
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
        var processes = RunningSystem.Services.Select(s => KeyValuePair.Create(s, ServiceProcess.IdOf(s, system.Url(s, "http"))))
            .Concat(ServiceProcess.Surroundings(system.State)).ToList();
        var peak = processes.ToDictionary(p => p.Key, _ => 0.0);
        while (!load.IsCompleted)
        {
            foreach (var (name, id) in processes)
                peak[name] = Math.Max(peak[name], ServiceProcess.ResidentMegabytes(id));
            await Task.WhenAny(load, Task.Delay(TimeSpan.FromSeconds(1)));
        }
        var rate = (await load).Sum();
        File.Delete(body);
        Console.WriteLine($"Resident memory at {rate:0} quotes a second: {string.Join(", ", peak.Select(p => $"{p.Key} {p.Value:0} MB"))}");
    }
}
