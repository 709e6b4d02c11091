//! Readers of trace context meet what anybody may send.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use harness::Fuzzer;
use telemetry::{TraceContext, TraceState};

fn fuzzer(name: &str) -> Fuzzer {
    Fuzzer::new(env!("CARGO_MANIFEST_DIR"), name)
}

#[test]
fn fuzz_traceparents_come_back() {
    fuzzer("traceparent").run(|input| {
        let Ok(context) = TraceContext::parse(input) else { return (input.len().min(60), 0) };
        let written = context.traceparent();
        assert_eq!(written[3..52], input[3..52]);
        assert_eq!(TraceContext::parse(&written), Ok(context));
        (0, 1 + u8::from(context.sampled))
    });
}

#[test]
fn fuzz_tracestates_are_passed_on_as_they_are() {
    fuzzer("tracestate").run(|input| {
        let headers = input.split(|&byte| byte == b'\n');
        let Some(state) = TraceState::parse(headers) else { return (0, 0) };
        let text = state.as_str();
        let joined: Vec<u8> = input.iter().map(|&byte| if byte == b'\n' { b',' } else { byte }).collect();
        assert_eq!(text.as_bytes(), joined);
        assert!(text.len() <= 512 && text.split(',').count() <= 512);
        assert!(http::HeaderValue::from_str(text).is_ok(), "{text:?} cannot be a header");
        assert_eq!(TraceState::parse([text.as_bytes()]).as_ref(), Some(&state));
        (1, text.split(',').count())
    });
}
