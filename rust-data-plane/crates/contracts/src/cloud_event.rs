/// The attributes of a CloudEvents 1.0 event whose data is a protobuf message, and the trace that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct CloudEvent<'a> {
    /// Unique within its source.
    pub id: &'a [u8],
    /// Who has made it, as a URI reference.
    pub source: &'a [u8],
    /// What has happened, with its version.
    pub kind: &'a [u8],
    /// When it happened, by RFC 3339.
    pub time: &'a [u8],
    /// W3C's `traceparent`, where one operation has caused it.
    pub traceparent: Option<&'a [u8]>,
    /// W3C's `tracestate`, where there is one.
    pub tracestate: Option<&'a [u8]>,
}

impl<'a> CloudEvent<'a> {
    /// How many headers it has at most.
    pub const HEADERS: usize = 8;

    /// The headers of its Kafka record, in binary mode.
    pub fn headers(self) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        [
            ("ce_specversion", "1.0".as_bytes()),
            ("ce_id", self.id),
            ("ce_source", self.source),
            ("ce_type", self.kind),
            ("ce_time", self.time),
            ("content-type", b"application/protobuf"),
        ]
        .into_iter()
        .chain(self.traceparent.map(|parent| ("traceparent", parent)))
        .chain(self.tracestate.map(|state| ("tracestate", state)))
    }
}
