using Hybrid.Pricing.V1;
using Npgsql;

namespace Hybrid.Tests.Harness;

/// <summary>What was priced, added up as the ledger adds it: by sku and promotion.</summary>
internal sealed record Sums(long Quotes, IReadOnlyDictionary<(string Sku, string PromotionId), LineSums> Lines)
{
    public static Sums Of(IEnumerable<QuoteResponse> quotes)
    {
        var all = quotes.ToList();
        return new Sums(
            all.Count,
            all.SelectMany(q => q.Lines).GroupBy(l => (l.Sku, l.PromotionId)).ToDictionary(
                g => g.Key,
                g => new LineSums(
                    g.Count(), g.Sum(l => l.Quantity), g.Sum(l => l.DiscountMinor), g.Sum(l => l.NetMinor), g.Sum(l => l.TaxMinor), g.Sum(l => l.GrossMinor))));
    }

    /// <summary>What the ledger has booked for one jurisdiction.</summary>
    public static async Task<Sums> OfLedgerAsync(NpgsqlDataSource database, string jurisdiction)
    {
        await using var quotes = database.CreateCommand("SELECT coalesce(sum(quotes), 0)::bigint FROM usage_record WHERE jurisdiction = $1");
        quotes.Parameters.AddWithValue(jurisdiction);
        var count = (long)(await quotes.ExecuteScalarAsync())!;

        await using var lines = database.CreateCommand(
            """
            SELECT sku, promotion_id, sum(lines)::bigint, sum(quantity)::bigint, sum(discount_minor)::bigint, sum(net_minor)::bigint, sum(tax_minor)::bigint,
                   sum(gross_minor)::bigint
            FROM ledger_entry WHERE jurisdiction = $1 GROUP BY sku, promotion_id
            """);
        lines.Parameters.AddWithValue(jurisdiction);
        var sums = new Dictionary<(string, string), LineSums>();
        await using var reader = await lines.ExecuteReaderAsync();
        while (await reader.ReadAsync())
        {
            sums[(reader.GetString(0), reader.GetString(1))] = new LineSums(
                reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4), reader.GetInt64(5), reader.GetInt64(6), reader.GetInt64(7));
        }
        return new Sums(count, sums);
    }

    public bool Equals(Sums? other) => other is not null && Quotes == other.Quotes && Lines.Count == other.Lines.Count && !Lines.Except(other.Lines).Any();

    public override int GetHashCode() => HashCode.Combine(Quotes, Lines.Count);

    public override string ToString() =>
        $"{Quotes} quotes; {string.Join("; ", Lines.OrderBy(l => l.Key.Sku, StringComparer.Ordinal).ThenBy(l => l.Key.PromotionId, StringComparer.Ordinal).Select(l => $"{l.Key} {l.Value}"))}";
}

/// <summary>Sums over lines of one sku and promotion, in minor units.</summary>
internal sealed record LineSums(long Lines, long Quantity, long Discount, long Net, long Tax, long Gross);
