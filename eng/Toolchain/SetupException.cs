namespace Hybrid.Toolchain;

/// <summary>Something is missing that the set-up cannot bring. The message says what to do about it.</summary>
public sealed class SetupException(string message, Exception? innerException = null) : Exception(message, innerException);
