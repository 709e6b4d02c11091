use std::sync::Arc;

use crate::context::{SpanId, TraceContext, TraceId};
use crate::queue::Queue;
use crate::sampler::Sampler;
use crate::span::{Link, Span};

/// Starts spans, and takes finished ones.
#[derive(Clone)]
pub struct Tracer {
    sampler: Sampler,
    queue: Option<Arc<Queue<Span>>>,
}

impl Tracer {
    pub(crate) fn new(sampler: Sampler, queue: Option<Arc<Queue<Span>>>) -> Self {
        Self { sampler, queue }
    }

    /// Takes contexts, exports nothing.
    pub fn disconnected() -> Self {
        Self::new(Sampler::DEFAULT, None)
    }

    /// The context of a new span: within `parent`'s trace, or the first of its own.
    pub fn start(&self, parent: Option<&TraceContext>) -> TraceContext {
        let trace_id = parent.map_or_else(TraceId::random, |parent| parent.trace_id);
        TraceContext { trace_id, span_id: SpanId::random(), sampled: self.sampler.samples(parent, trace_id) }
    }

    /// The context of a new span that starts a trace and links to others.
    pub fn start_linked(&self, links: &[Link]) -> TraceContext {
        let trace_id = TraceId::random();
        TraceContext { trace_id, span_id: SpanId::random(), sampled: self.sampler.samples_linked(links, trace_id) }
    }

    /// Exports a span, if it is sampled. The closure runs only then.
    pub fn finish(&self, context: TraceContext, span: impl FnOnce() -> Span) {
        if let (true, Some(queue)) = (context.sampled, &self.queue) {
            queue.offer(span());
        }
    }
}
