using System.Collections.Concurrent;

namespace Aspire.Hosting.ApplicationModel;

/// <summary>The recent output of every resource, in memory and in a file for each.</summary>
public sealed class ResourceLogs : IDisposable
{
    /// <summary>How many lines of each resource are kept in memory.</summary>
    public const int Capacity = 2_000;

    private const int KeptFiles = 3;
    private const long MaxFileLength = 64 << 20;

    private readonly ConcurrentDictionary<string, Log> _logs = new(StringComparer.OrdinalIgnoreCase);
    private volatile string? _directory;

    /// <summary>The latest lines of a resource (of one instance where it has replicas), oldest first; none when it has said nothing.</summary>
    public IReadOnlyList<string> Tail(string resourceName, int lines = Capacity) =>
        _logs.TryGetValue(resourceName, out var log) ? log.Tail(lines) : [];

    /// <summary>Writes files into the directory from now on, and moves those of earlier runs aside.</summary>
    internal void OpenDirectory(string directory)
    {
        Directory.CreateDirectory(directory);
        foreach (var file in Directory.EnumerateFiles(directory, "*.log").ToArray())
            MoveAside(file);
        _directory = directory;
    }

    internal void Append(string resourceName, string line, bool isError) =>
        _logs.GetOrAdd(resourceName, static name => new Log(name)).Append(line, _directory);

    public void Dispose()
    {
        foreach (var log in _logs.Values)
            log.Dispose();
    }

    private static void MoveAside(string file)
    {
        for (var i = KeptFiles - 1; i >= 1; i--)
            if (File.Exists($"{file}.{i}"))
                File.Move($"{file}.{i}", $"{file}.{i + 1}", overwrite: true);
        File.Move(file, $"{file}.1", overwrite: true);
    }

    private sealed class Log(string name) : IDisposable
    {
        private readonly Lock _lock = new();
        private readonly Queue<string> _lines = new();
        private StreamWriter? _file;
        private bool _disposed;

        public IReadOnlyList<string> Tail(int lines)
        {
            lock (_lock)
                return [.. _lines.Skip(Math.Max(0, _lines.Count - lines))];
        }

        public void Append(string line, string? directory)
        {
            lock (_lock)
            {
                if (_lines.Count == Capacity)
                    _lines.Dequeue();
                _lines.Enqueue(line);
                if (_disposed || directory is null)
                    return;
                try
                {
                    var path = Path.Combine(directory, name + ".log");
                    if (_file?.BaseStream.Length > MaxFileLength)
                    {
                        _file.Dispose();
                        _file = null;
                        MoveAside(path);
                    }

                    _file ??= new StreamWriter(path, append: true) { AutoFlush = true };
                    _file.WriteLine(line);
                }
                catch (IOException)
                {
                    // A full disk must not end the programs whose output this is.
                }
            }
        }

        public void Dispose()
        {
            lock (_lock)
            {
                _disposed = true;
                _file?.Dispose();
                _file = null;
            }
        }
    }
}
