namespace Hybrid.Toolchain;

/// <summary>Something is missing that the set-up cannot bring. The message says what to do about it.</summary>
public sealed class SetupException : Exception
{
    public SetupException(string message) : base(message)
    {
    }

    public SetupException(string message, Exception innerException) : base(message, innerException)
    {
    }

    public SetupException()
    {
    }
}
