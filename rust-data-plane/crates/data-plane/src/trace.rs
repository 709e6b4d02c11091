//! The span of one request: where it comes from, and what is known of it at its end.

use std::borrow::Cow;
use std::time::SystemTime;

use http::uri::Authority;
use http::{HeaderMap, HeaderName};
use telemetry::{Attribute, Kind, Span, Status, TraceContext, TraceState, Tracer};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What a request says of the trace that it belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parent<'a> {
    context: Option<TraceContext>,
    state: Option<TraceState<'a>>,
}

impl<'a> Parent<'a> {
    /// Without a valid `traceparent` the request begins a trace, which has no state yet.
    pub(crate) fn read(headers: &'a HeaderMap) -> Self {
        let context = headers.get(TRACEPARENT).and_then(|value| TraceContext::parse(value.as_bytes()).ok());
        let state = context
            .and_then(|_| TraceState::parse(headers.get_all(TRACESTATE).into_iter().map(|value| value.as_bytes())));
        Self { context, state }
    }

    /// A copy that outlives the headers.
    pub(crate) fn into_owned(self) -> Parent<'static> {
        Parent { context: self.context, state: self.state.map(TraceState::into_owned) }
    }
}

/// The span of a request, and the state that goes along with its context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace<'a> {
    pub(crate) context: TraceContext,
    parent: Option<TraceContext>,
    state: Option<&'a TraceState<'a>>,
}

impl<'a> Trace<'a> {
    /// A span within the trace of `parent`.
    pub(crate) fn start(tracer: &Tracer, parent: &'a Parent<'_>) -> Self {
        Self { context: tracer.start(parent.context.as_ref()), parent: parent.context, state: parent.state.as_ref() }
    }

    /// A span within this one.
    pub(crate) fn child(&self, tracer: &Tracer) -> Self {
        Self { context: tracer.start(Some(&self.context)), parent: Some(self.context), state: self.state }
    }

    /// The value of `tracestate`, where there is one.
    pub(crate) fn state(&self) -> Option<&str> {
        self.state.map(TraceState::as_str)
    }

    /// Exports the span, if it is sampled. `details` runs only then.
    pub(crate) fn finish(&self, tracer: &Tracer, kind: Kind, start: SystemTime, details: impl FnOnce() -> Details) {
        tracer.finish(self.context, || {
            let Details { name, attributes, status } = details();
            Span {
                context: self.context,
                state: self.state.cloned().map(TraceState::into_owned),
                parent: self.parent.map(|parent| parent.span_id),
                name,
                kind,
                start,
                end: SystemTime::now(),
                attributes,
                links: Vec::new(),
                status,
            }
        });
    }
}

/// What is known of a span at its end.
pub(crate) struct Details {
    pub(crate) name: Cow<'static, str>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) status: Status,
}

/// `server.address` and `server.port`: the server as the caller knows it.
pub(crate) fn server_attributes(authority: Option<&Authority>) -> impl Iterator<Item = Attribute> {
    let address = authority.map(|authority| ("server.address", authority.host().to_owned().into()));
    let port = authority.and_then(Authority::port_u16).map(|port| ("server.port", i64::from(port).into()));
    address.into_iter().chain(port)
}
