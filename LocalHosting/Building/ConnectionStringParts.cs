namespace Aspire.Hosting;

/// <summary>The parts of a connection string, for programs that want them one by one.</summary>
internal static class ConnectionStringParts
{
    /// <summary>Of <c>Host=…;Port=…;…</c> and of <c>host:port</c>; none of any other form.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Of(string connectionString) =>
        connectionString.Contains('=', StringComparison.Ordinal) ? OfKeyValues(connectionString) : OfHostAndPort(connectionString);

    private static IEnumerable<KeyValuePair<string, string>> OfHostAndPort(string text)
    {
        var colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), out _) || text.IndexOfAny(['/', ',', ';']) >= 0)
            yield break;
        yield return new("HOST", text[..colon]);
        yield return new("PORT", text[(colon + 1)..]);
    }

    private static IEnumerable<KeyValuePair<string, string>> OfKeyValues(string text)
    {
        Dictionary<string, string> parts = new(StringComparer.OrdinalIgnoreCase);
        try
        {
            var parsed = new System.Data.Common.DbConnectionStringBuilder { ConnectionString = text };
            foreach (string key in parsed.Keys)
                parts[key] = (string)parsed[key];
        }
        catch (ArgumentException)
        {
            yield break;
        }

        if (!parts.TryGetValue("Host", out var host) || !parts.TryGetValue("Port", out var port))
            yield break;
        yield return new("HOST", host);
        yield return new("PORT", port);
        if (!parts.TryGetValue("Username", out var user) || !parts.TryGetValue("Password", out var password))
            yield break;
        yield return new("USERNAME", user);
        yield return new("PASSWORD", password);
        if (!parts.TryGetValue("Database", out var database))
            yield break;
        yield return new("DATABASENAME", database);
        yield return new("URI", $"postgresql://{Uri.EscapeDataString(user)}:{Uri.EscapeDataString(password)}@{host}:{port}/{Uri.EscapeDataString(database)}");
        yield return new("JDBCCONNECTIONSTRING", $"jdbc:postgresql://{host}:{port}/{Uri.EscapeDataString(database)}");
    }
}
