using System.Text;

namespace Aspire.Hosting.Processes;

/// <summary>Reads lines as they come, and never keeps more than a bounded part of one.</summary>
internal static class LineReader
{
    /// <summary>Longer lines are cut into pieces of this many characters.</summary>
    public const int MaxLineLength = 16 * 1024;

    /// <summary>Calls back for each line until the stream ends. Blocks; give it a thread of its own.</summary>
    public static void ReadLines(TextReader reader, Action<string> onLine)
    {
        var buffer = new char[4096];
        var line = new StringBuilder();
        int count;
        while ((count = reader.Read(buffer, 0, buffer.Length)) > 0)
        {
            foreach (var c in buffer.AsSpan(0, count))
            {
                if (c == '\n')
                    Flush();
                else if (c != '\r')
                    line.Append(c);
                if (line.Length >= MaxLineLength)
                    Flush();
            }
        }

        if (line.Length > 0)
            Flush();

        void Flush()
        {
            onLine(line.ToString());
            line.Clear();
        }
    }
}
