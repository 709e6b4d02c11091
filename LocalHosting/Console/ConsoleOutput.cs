using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Aspire.Hosting.ConsoleView;

/// <summary>
/// The terminal: whole lines, each behind the name of who says it, in that one's colour. A thread of its own writes them, so that a
/// terminal that stands still holds up no program; what it cannot take is left out, and counted.
/// </summary>
internal sealed class ConsoleOutput : IDisposable
{
    /// <summary>The name under which the host itself speaks.</summary>
    public const string HostName = "host";

    private const int MaxWaiting = 10_000;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(2);

    private readonly BlockingCollection<string> _waiting = new(MaxWaiting);
    private readonly TextWriter _writer;
    private readonly bool _colours;
    private readonly Thread _thread;
    private volatile int _width = HostName.Length;
    private int _leftOut;

    public ConsoleOutput(TextWriter writer, bool colours, bool quiet)
    {
        _writer = writer;
        _colours = colours;
        IsQuiet = quiet;
        _thread = new Thread(WriteAll) { IsBackground = true, Name = "console" };
        _thread.Start();
    }

    public bool IsQuiet { get; }

    /// <summary>Standard output; coloured when it is a terminal and NO_COLOR is unset.</summary>
    public static ConsoleOutput ForStandardOutput(bool quiet) => new(
        Console.Out,
        !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")),
        quiet);

    /// <summary>Makes room for the names, so that all lines begin in one column.</summary>
    public void Align(IEnumerable<string> names) => _width = names.Append(HostName).Max(n => n.Length);

    public void WriteLine(string name, string line)
    {
        var prefix = name.PadRight(_width);
        Write(_colours
            ? $"{Palette.Of(name)}{prefix}{Palette.Reset} {Palette.Dim}|{Palette.Reset} {line}{Environment.NewLine}"
            : $"{prefix} | {line}{Environment.NewLine}");
    }

    /// <summary>Writes lines that belong together and have no name before them.</summary>
    public void WriteBlock(IEnumerable<string> lines)
    {
        var block = new StringBuilder();
        foreach (var line in lines)
            block.AppendLine(line);
        Write(block.ToString());
    }

    /// <summary>Tells the person why the run cannot be, or cannot go on: on the error stream, also when quiet.</summary>
    public static void WriteFailure(string line) => Console.Error.WriteLine(line);

    /// <summary>Writes what still waits.</summary>
    public void Dispose()
    {
        if (_waiting.IsAddingCompleted)
            return;
        _waiting.CompleteAdding();
        _thread.Join(s_patience);
    }

    private void Write(string text)
    {
        if (IsQuiet || _waiting.IsAddingCompleted)
            return;
        try
        {
            if (!_waiting.TryAdd(text))
                Interlocked.Increment(ref _leftOut);
        }
        catch (InvalidOperationException)
        {
            // The last lines of a program that ends after the host has closed its own.
        }
    }

    private void WriteAll()
    {
        try
        {
            foreach (var text in _waiting.GetConsumingEnumerable())
            {
                _writer.Write(text);
                if (_waiting.Count > 0)
                    continue;
                if (Interlocked.Exchange(ref _leftOut, 0) is > 0 and var count)
                    _writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"({count} lines were not shown; the log files have them)"));
                _writer.Flush();
            }
        }
        catch (IOException)
        {
            // The terminal is gone. The log files go on.
        }
    }
}
