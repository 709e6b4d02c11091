namespace Hybrid.Lab.Measuring;

/// <summary>A median with the interval that it lies in with 95 % confidence.</summary>
internal readonly record struct Estimate(double Median, double Low, double High)
{
    private const int Resamples = 4_000;

    /// <summary>The median of samples, with a percentile bootstrap interval. The same samples give the same interval.</summary>
    public static Estimate Of(IReadOnlyList<double> samples)
    {
        if (samples.Count == 0)
            throw new ArgumentException("There is no sample.", nameof(samples));
        var random = new Random(samples.Count);
        var medians = new double[Resamples];
        var resample = new double[samples.Count];
        for (var i = 0; i < Resamples; i++)
        {
            for (var j = 0; j < resample.Length; j++)
                resample[j] = samples[random.Next(samples.Count)];
            medians[i] = Middle(resample);
        }
        Array.Sort(medians);
        return new Estimate(Middle([.. samples]), medians[(int)(Resamples * 0.025)], medians[(int)(Resamples * 0.975) - 1]);
    }

    /// <summary>How many times the one is the other, from pairs that were measured next to each other.</summary>
    public static Estimate OfRatio(IReadOnlyDictionary<int, double> above, IReadOnlyDictionary<int, double> below) =>
        Of([.. above.Keys.Intersect(below.Keys).Where(round => below[round] > 0).Select(round => above[round] / below[round])]);

    private static double Middle(double[] samples)
    {
        Array.Sort(samples);
        var half = samples.Length / 2;
        return samples.Length % 2 == 1 ? samples[half] : (samples[half - 1] + samples[half]) / 2;
    }
}
