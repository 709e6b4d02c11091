using System.Text.Json;

namespace Aspire.Hosting.Processes;

/// <summary>A process that the host has started.</summary>
internal sealed record ProcessRecord(string Resource, int Pid, string StartedAt, string? Executable);

/// <summary>The file that lists the processes of a host, so that the next one can end what a killed one has left.</summary>
internal sealed class ProcessRecords(string path)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, ProcessRecord> _records = [];

    public void Add(string resource, int pid)
    {
        if (ProcessIdentity.StartedAt(pid) is not { } startedAt)
            return;
        lock (_lock)
        {
            _records[pid] = new(resource, pid, startedAt, null);
            Write();
        }
    }

    public void Remove(int pid)
    {
        lock (_lock)
        {
            if (_records.Remove(pid))
                Write();
        }
    }

    /// <summary>Writes the file anew with the programs that the processes execute by now.</summary>
    public void Refresh()
    {
        lock (_lock)
            Write();
    }

    /// <summary>Ends the processes of an earlier host that are still alive, and are the same ones.</summary>
    /// <returns>Those that were ended.</returns>
    public IReadOnlyList<ProcessRecord> EndLeftovers()
    {
        var ended = new List<ProcessRecord>();
        foreach (var record in Read())
        {
            if (ProcessIdentity.StartedAt(record.Pid) != record.StartedAt)
                continue;
            if (record.Executable is not null && ProcessIdentity.Executable(record.Pid) != record.Executable)
                continue;
            try
            {
                using var process = System.Diagnostics.Process.GetProcessById(record.Pid);
                process.Kill(entireProcessTree: true);
                ProcessGroup.Kill(record.Pid);
                process.WaitForExit(TimeSpan.FromSeconds(5));
                ended.Add(record);
            }
            catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception or AggregateException)
            {
                // It has just ended by itself.
            }
        }

        return ended;
    }

    private ProcessRecord[] Read()
    {
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize<ProcessRecord[]>(File.ReadAllText(path)) ?? [] : [];
        }
        catch (JsonException)
        {
            return [];
        }
    }

    private void Write()
    {
        foreach (var record in _records.Values.ToArray())
            if (ProcessIdentity.Executable(record.Pid) is { } executable && executable != ProcessGroup.LauncherPath)
                _records[record.Pid] = record with { Executable = executable };
        var temporary = path + ".new";
        File.WriteAllText(temporary, JsonSerializer.Serialize(_records.Values.ToArray()));
        File.Move(temporary, path, overwrite: true);
    }
}
