using System.Globalization;

namespace Aspire.Hosting.Processes;

/// <summary>The folder where a host keeps what must outlive it. It belongs to one host at a time.</summary>
internal sealed class StateDirectory : IDisposable
{
    private readonly FileStream _lock;

    private StateDirectory(string path, FileStream @lock)
    {
        FullPath = path;
        _lock = @lock;
    }

    public string FullPath { get; }

    /// <summary>Takes the folder, and makes it where there is none.</summary>
    /// <exception cref="DistributedApplicationException">Another host has it, or it cannot be written.</exception>
    public static StateDirectory Acquire(string path)
    {
        var holderPath = Path.Combine(path, "host.pid");
        try
        {
            Directory.CreateDirectory(Path.Combine(path, "logs"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DistributedApplicationException($"The state directory {path} cannot be written: {e.Message}", e);
        }

        try
        {
            var @lock = new FileStream(Path.Combine(path, "host.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            File.WriteAllText(holderPath, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            return new StateDirectory(path, @lock);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new DistributedApplicationException($"The state directory {path} cannot be written: {e.Message}", e);
        }
        catch (IOException e)
        {
            var holder = File.Exists(holderPath) ? $" (process {File.ReadAllText(holderPath)})" : "";
            throw new DistributedApplicationException(
                $"The state directory {path} is in use by another host{holder}. Stop that one, or give this one another directory with --state.", e);
        }
    }

    public string this[string name] => Path.Combine(FullPath, name);

    public void Dispose() => _lock.Dispose();
}
