//! Web pages of other origins must not make a browser write.

use axum::http::{HeaderMap, Uri, header};

/// Whether a browser sends the request on behalf of another origin. Programs that are not browsers send neither header.
///
/// The rule is that of Go's `http.CrossOriginProtection`, which the control plane uses: `Sec-Fetch-Site` decides where it is
/// sent; otherwise `Origin` must name the host that is asked.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => true,
        None => headers.get(header::ORIGIN).is_some_and(|origin| {
            let named: Option<Uri> = origin.to_str().ok().and_then(|origin| origin.parse().ok());
            let named = named.as_ref().and_then(Uri::authority).map(|authority| authority.as_str().as_bytes());
            named.is_none() || named != headers.get(header::HOST).map(|host| host.as_bytes())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    #[test]
    fn only_pages_of_other_origins_are_foreign() {
        for (headers, expected) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://other")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("origin", "http://localhost:8081")], false),
            (&[("origin", "http://localhost:9999")], true),
            (&[("origin", "https://example.org")], true),
            (&[("origin", "null")], true),
            (&[("origin", "")], true),
        ] {
            let headers = headers.iter().copied().chain([("host", "localhost:8081")]);
            let map = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let map: HeaderMap = map.collect();
            assert_eq!(is_foreign(&map), expected, "{map:?}");
        }
    }
}
