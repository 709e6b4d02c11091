using Microsoft.Extensions.Logging;

namespace Aspire.Hosting.ConsoleView;

/// <summary>Shows what the libraries inside the host log, as lines of the host.</summary>
internal sealed class HostLoggerProvider(HostLog log) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new HostLogger(log, categoryName);

    public void Dispose()
    {
        // Holds nothing.
    }

    private sealed class HostLogger(HostLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var cause = exception is null ? "" : $": {exception.Message}";
            log.Say($"{logLevel}: {category}: {formatter(state, exception)}{cause}");
        }
    }
}
