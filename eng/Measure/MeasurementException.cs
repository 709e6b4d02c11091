namespace Hybrid.Measure;

/// <summary>The measurement could not be made, or its result would be worthless. The message says why.</summary>
internal sealed class MeasurementException(string message) : Exception(message);
