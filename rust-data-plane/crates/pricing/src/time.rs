/// An instant of UTC, as in `google.protobuf.Timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Whole seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds within the second: 0 to 999,999,999.
    pub nanos: i32,
}
