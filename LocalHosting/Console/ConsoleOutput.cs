using System.Globalization;

namespace Aspire.Hosting.ConsoleView;

/// <summary>The terminal: whole lines, each behind the name of who says it, in that one's colour.</summary>
internal sealed class ConsoleOutput
{
    /// <summary>The name under which the host itself speaks.</summary>
    public const string HostName = "host";

    private readonly Lock _lock = new();
    private readonly TextWriter _writer;
    private readonly bool _colours;
    private readonly Dictionary<string, string> _colourOf = new(StringComparer.Ordinal);
    private int _width = HostName.Length;

    public ConsoleOutput(TextWriter writer, bool colours, bool quiet)
    {
        _writer = writer;
        _colours = colours;
        IsQuiet = quiet;
    }

    public bool IsQuiet { get; }

    /// <summary>Standard output; coloured when it is a terminal and NO_COLOR is unset.</summary>
    public static ConsoleOutput ForStandardOutput(bool quiet) => new(
        Console.Out,
        !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")),
        quiet);

    /// <summary>Makes room for the names, so that all lines begin in one column.</summary>
    public void Align(IEnumerable<string> names)
    {
        lock (_lock)
            _width = names.Append(HostName).Max(n => n.Length);
    }

    public void WriteLine(string name, string line)
    {
        if (IsQuiet)
            return;
        lock (_lock)
        {
            var prefix = name.PadRight(_width);
            _writer.WriteLine(_colours ? $"{ColourOf(name)}{prefix}{Palette.Reset} {Palette.Dim}|{Palette.Reset} {line}" : $"{prefix} | {line}");
            _writer.Flush();
        }
    }

    /// <summary>Writes lines that belong together and have no name before them.</summary>
    public void WriteBlock(IEnumerable<string> lines)
    {
        if (IsQuiet)
            return;
        lock (_lock)
        {
            foreach (var line in lines)
                _writer.WriteLine(line);
            _writer.Flush();
        }
    }

    /// <summary>Tells the person why the run cannot be, or cannot go on: on the error stream, also when quiet.</summary>
    public void WriteFailure(string line)
    {
        lock (_lock)
        {
            Console.Error.WriteLine(line);
            Console.Error.Flush();
        }
    }

    private string ColourOf(string name)
    {
        if (!_colourOf.TryGetValue(name, out var colour))
            _colourOf[name] = colour = name == HostName
                ? Palette.Bold
                : string.Create(CultureInfo.InvariantCulture, $"\e[38;5;{Palette.Of(name)}m");
        return colour;
    }
}
