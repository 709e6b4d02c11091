using Hybrid.Pricing.V1;
using Npgsql;

namespace Hybrid.Tests.Harness;

/// <summary>What was priced, added up as the ledger adds it.</summary>
/// <param name="Gross">In minor units.</param>
/// <param name="Lines">By sku and promotion, one a line: how many, and the sums of quantity, discount, net, tax and gross.</param>
internal sealed record Sums(long Quotes, long Gross, string Lines)
{
    public static Sums Of(IReadOnlyCollection<QuoteResponse> quotes)
    {
        var lines = quotes.SelectMany(q => q.Lines).GroupBy(l => (l.Sku, l.PromotionId)).Select(g =>
            $"{g.Key.Sku} {g.Key.PromotionId} {g.Count()} {g.Sum(l => l.Quantity)} {g.Sum(l => l.DiscountMinor)} {g.Sum(l => l.NetMinor)} "
            + $"{g.Sum(l => l.TaxMinor)} {g.Sum(l => l.GrossMinor)}");
        return new Sums(quotes.Count, quotes.Sum(q => q.GrossMinor), string.Join('\n', lines.Order(StringComparer.Ordinal)));
    }

    /// <summary>What the ledger has booked for one jurisdiction.</summary>
    public static async Task<Sums> OfLedgerAsync(NpgsqlDataSource database, string jurisdiction)
    {
        await using var query = database.CreateCommand(
            """
            SELECT (SELECT coalesce(sum(quotes), 0) FROM usage_record WHERE jurisdiction = $1)::bigint, coalesce(sum(gross), 0)::bigint,
                   coalesce(string_agg(text, E'\n' ORDER BY text COLLATE "C"), '')
            FROM (SELECT sum(gross_minor) AS gross, concat_ws(' ', sku, promotion_id, sum(lines), sum(quantity), sum(discount_minor), sum(net_minor),
                         sum(tax_minor), sum(gross_minor)) AS text
                  FROM ledger_entry WHERE jurisdiction = $1 GROUP BY sku, promotion_id) AS line
            """);
        query.Parameters.AddWithValue(jurisdiction);
        await using var reader = await query.ExecuteReaderAsync();
        await reader.ReadAsync();
        return new Sums(reader.GetInt64(0), reader.GetInt64(1), reader.GetString(2));
    }
}
