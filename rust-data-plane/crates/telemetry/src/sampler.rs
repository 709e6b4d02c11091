use crate::context::{TraceContext, TraceId};
use crate::span::Link;

/// Which spans are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whether a span with a parent does as its parent.
    parent_based: bool,
    root: Root,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Root {
    AlwaysOn,
    AlwaysOff,
    /// Traces whose id, read as a number, is below this.
    Below(u64),
}

impl Sampler {
    /// What the specification gives when nothing is set.
    pub const DEFAULT: Self = Self { parent_based: true, root: Root::AlwaysOn };

    /// By the names of `OTEL_TRACES_SAMPLER` and the text of `OTEL_TRACES_SAMPLER_ARG`; `None` when unknown.
    pub fn parse(name: &str, arg: Option<&str>) -> Option<Self> {
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::AlwaysOn,
            "always_off" => Root::AlwaysOff,
            "traceidratio" => {
                let ratio: f64 = arg.map_or(Ok(1.0), str::parse).ok()?;
                (0.0..=1.0).contains(&ratio).then_some(Root::Below((ratio * (1u64 << 63) as f64) as u64))?
            }
            _ => return None,
        };
        Some(Self { parent_based, root })
    }

    /// Whether a span of trace `trace_id` is recorded.
    pub fn samples(&self, parent: Option<&TraceContext>, trace_id: TraceId) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.sampled,
            _ => self.samples_root(trace_id),
        }
    }

    /// Whether a span that continues no trace but links to others is recorded: when one of them is, as if that were its
    /// parent.
    pub fn samples_linked(&self, links: &[Link], trace_id: TraceId) -> bool {
        let parent = links.iter().find(|link| link.context.sampled).or(links.first());
        self.samples(parent.map(|link| &link.context), trace_id)
    }

    fn samples_root(&self, trace_id: TraceId) -> bool {
        match self.root {
            Root::AlwaysOn => true,
            Root::AlwaysOff => false,
            Root::Below(limit) => {
                let [.., a, b, c, d, e, f, g, h] = trace_id.0;
                u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < limit
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::SpanId;

    fn context(sampled: bool) -> TraceContext {
        TraceContext { trace_id: TraceId::random(), span_id: SpanId::random(), sampled }
    }

    #[test]
    fn parents_decide_where_asked() {
        let based = Sampler::parse("parentbased_always_off", None).unwrap();
        assert!(based.samples(Some(&context(true)), TraceId::random()));
        assert!(!based.samples(Some(&context(false)), TraceId::random()));
        assert!(!based.samples(None, TraceId::random()));
        let plain = Sampler::parse("always_on", None).unwrap();
        assert!(plain.samples(Some(&context(false)), TraceId::random()));
    }

    #[test]
    fn a_ratio_is_about_kept() {
        let tenth = Sampler::parse("traceidratio", Some("0.1")).unwrap();
        let sampled = (0..20_000).filter(|_| tenth.samples(None, TraceId::random())).count();
        assert!((1_700..2_300).contains(&sampled), "{sampled}");
        let all = Sampler::parse("traceidratio", Some("1")).unwrap();
        assert!((0..1_000).all(|_| all.samples(None, TraceId::random())));
    }

    #[test]
    fn unknown_names_and_ratios_are_refused() {
        assert_eq!(Sampler::parse("sometimes", None), None);
        assert_eq!(Sampler::parse("traceidratio", Some("1.5")), None);
        assert_eq!(Sampler::parse("traceidratio", Some("NaN")), None);
    }

    #[test]
    fn a_batch_follows_the_sampled_one_among_its_links() {
        let sampler = Sampler::DEFAULT;
        let link = |sampled| Link { context: context(sampled), state: None };
        assert!(sampler.samples_linked(&[link(false), link(true)], TraceId::random()));
        assert!(!sampler.samples_linked(&[link(false)], TraceId::random()));
        assert!(sampler.samples_linked(&[], TraceId::random()));
    }
}
