//! Log records as lines of key=value on standard error.

use std::fmt::{self, Write as _};
use std::io::{self, Stderr, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::record::Record;
use crate::span::Value;

/// A pipe that can be written to at all takes as many bytes at once.
const CHUNK: usize = 4096;

/// Writes lines without ever waiting. Who reads them may have stopped to; the threads that write them answer quotes. What is not
/// taken at once is left out and counted, and the next line that is taken comes after one that says so.
pub(crate) struct Lines<W = Stderr> {
    out: Mutex<Out<W>>,
    dropped: AtomicU64,
}

struct Out<W> {
    to: W,
    /// As many as the last notice said were left out.
    told: u64,
    /// Whether the last line lacks its end.
    cut: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new(io::stderr())
    }
}

impl<W: Write + AsFd> Lines<W> {
    fn new(to: W) -> Self {
        Self { out: Mutex::new(Out { to, told: 0, cut: false }), dropped: AtomicU64::new(0) }
    }

    /// Lines that were left out, or cut.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, line: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = self.dropped();
        let mut text = String::with_capacity(line.len() + 1);
        if out.cut {
            text.push('\n');
        }
        if dropped > out.told {
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "level=warn msg=\"lines were left out because nobody read them\" lines={}",
                dropped - out.told
            );
        }
        text.push_str(line);
        text.push('\n');
        let mut written = 0;
        for chunk in text.as_bytes().chunks(CHUNK) {
            // A closed standard error does not end the program, and leaves nothing to count.
            if !takes(&out.to) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                break;
            }
            let _ = out.to.write_all(chunk);
            written += chunk.len();
        }
        if written > 0 {
            out.cut = written < text.len();
            out.told = dropped;
        }
    }
}

/// Whether the next bytes can be written without waiting. What cannot be asked is taken to be so.
fn takes(to: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(to, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec::default())) != Ok(0)
}

/// A record as one line, whatever it says.
pub(crate) struct Line<'a>(pub(crate) &'a Record);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        write!(
            f,
            "time={} level={}",
            prost_types::Timestamp::from(record.at),
            record.level.as_str().to_ascii_lowercase()
        )?;
        pair(f, "msg", &record.message)?;
        for (name, value) in &record.attributes {
            match value {
                Value::Text(text) => pair(f, name, text)?,
                Value::Int(n) => write!(f, " {name}={n}")?,
                Value::Double(n) => write!(f, " {name}={n}")?,
                Value::Bool(b) => write!(f, " {name}={b}")?,
            }
        }
        if let Some(trace_id) = record.trace_id {
            write!(f, " trace_id={trace_id}")?;
        }
        if let Some(span_id) = record.span_id {
            write!(f, " span_id={span_id}")?;
        }
        Ok(())
    }
}

/// Quoted where it would not read as one word; a record is always one line.
fn pair(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    write!(f, " {name}=")?;
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'=') {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::{Duration, Instant, SystemTime};

    use tracing::Level;

    use super::*;
    use crate::context::TraceId;

    #[test]
    fn a_record_is_one_line_whatever_it_says() {
        let record = Record {
            at: SystemTime::UNIX_EPOCH,
            level: Level::WARN,
            message: "two\nlines \"quoted\"".into(),
            trace_id: Some(TraceId([0xab; 16])),
            span_id: None,
            attributes: vec![("n", Value::Int(3)), ("word", "plain".into())],
        };
        assert_eq!(
            Line(&record).to_string(),
            "time=1970-01-01T00:00:00Z level=warn msg=\"two\\nlines \\\"quoted\\\"\" n=3 word=plain \
             trace_id=abababababababababababababababab"
        );
    }

    #[test]
    fn a_reader_that_stops_to_read_holds_nobody_up_and_is_told() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (lines, start) = (Lines::new(writer), Instant::now());
        let long = "x".repeat(10_000);
        for number in 0..2_000 {
            lines.write(&format!("line={number}"));
            lines.write(&long);
        }
        let left_out = lines.dropped();
        assert!(start.elapsed() < Duration::from_secs(5) && left_out > 1_000, "{left_out}");
        let mut taken = vec![0; 1 << 20];
        let length = reader.read(&mut taken).unwrap();
        assert!(taken[..length].starts_with(b"line=0\nxxx"));
        // The pipe may take less at a time than it has room for.
        lines.write("line=again");
        drop(lines);
        let mut rest = String::from_utf8(taken[..length].to_vec()).unwrap();
        reader.read_to_string(&mut rest).unwrap();
        let last: Vec<&str> = rest.lines().rev().take(2).collect();
        let notice = format!("level=warn msg=\"lines were left out because nobody read them\" lines={left_out}");
        assert_eq!(last, ["line=again", &*notice]);
    }
}
