using Hybrid.Lab.Measuring;
using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Series;

namespace Hybrid.Lab.Report;

/// <summary>Draws what was measured, as SVG.</summary>
internal static class Charts
{
    private const double Width = 760;
    private static readonly double[] Percentiles = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99];

    /// <summary>The medians of one metric, a bar for each variant with its interval as a line.</summary>
    public static string Bars(string metric, IReadOnlyList<(string Variant, Estimate Value)> values)
    {
        // The exporter guesses how wide a text is, and guesses too little.
        var left = 20 + (8 * values.Max(value => value.Variant.Length));
        var model = new PlotModel { Title = metric, TitleFontSize = 14, DefaultFontSize = 12, PlotMargins = new OxyThickness(left, double.NaN, double.NaN, double.NaN) };
        var variants = new CategoryAxis { Position = AxisPosition.Left, StartPosition = 1, EndPosition = 0 };
        var bars = new BarSeries { FillColor = OxyColors.SteelBlue, LabelPlacement = LabelPlacement.Base, LabelMargin = 10, LabelFormatString = "{0:0.##}", TextColor = OxyColors.White };
        var intervals = new LineSeries { Color = OxyColors.Black, StrokeThickness = 2 };
        foreach (var (variant, value) in values)
        {
            intervals.Points.AddRange([new(value.Low, variants.Labels.Count), new(value.High, variants.Labels.Count), DataPoint.Undefined]);
            variants.Labels.Add(variant);
            bars.Items.Add(new BarItem(value.Median));
        }
        model.Axes.Add(variants);
        model.Axes.Add(new LinearAxis { Position = AxisPosition.Bottom, Minimum = 0, AbsoluteMinimum = 0, MajorGridlineStyle = LineStyle.Dot });
        model.Series.Add(bars);
        model.Series.Add(intervals);
        return Svg(model, 70 + (38 * values.Count));
    }

    /// <summary>Latency over percentiles of all rounds together, a line for each variant.</summary>
    public static string Latencies(IReadOnlyList<(string Variant, IReadOnlyList<long[]> Histogram)> variants)
    {
        var model = new PlotModel { Title = "latency by percentile, ms", TitleFontSize = 14, DefaultFontSize = 12 };
        model.Axes.Add(new LogarithmicAxis { Position = AxisPosition.Left, MajorGridlineStyle = LineStyle.Dot });
        // Each step to the right has a tenth of the calls beyond it.
        model.Axes.Add(new LinearAxis
        {
            Position = AxisPosition.Bottom,
            Minimum = 0,
            Maximum = 4,
            MajorStep = 1,
            MinorTickSize = 0,
            MajorGridlineStyle = LineStyle.Dot,
            LabelFormatter = nines => $"{100 - (100 / Math.Pow(10, nines)):0.##} %",
        });
        model.Legends.Add(new OxyPlot.Legends.Legend { LegendPosition = OxyPlot.Legends.LegendPosition.TopLeft });
        foreach (var (variant, histogram) in variants)
        {
            var line = new LineSeries { Title = variant, StrokeThickness = 2 };
            foreach (var percentile in Percentiles)
                line.Points.Add(new DataPoint(-Math.Log10(1 - (percentile / 100)), ValueAt(histogram, percentile) / 1000.0));
            model.Series.Add(line);
        }
        return Svg(model, 380);
    }

    private static long ValueAt(IReadOnlyList<long[]> histogram, double percentile)
    {
        var wanted = Math.Max(1, (long)Math.Ceiling(histogram.Sum(bucket => bucket[1]) * percentile / 100));
        var seen = 0L;
        return histogram.First(bucket => (seen += bucket[1]) >= wanted)[0];
    }

    private static string Svg(PlotModel model, double height) =>
        new SvgExporter { Width = Width, Height = height, UseVerticalTextAlignmentWorkaround = true }.ExportToString(model);
}
