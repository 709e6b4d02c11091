use contracts::hybrid::snapshot::v1::{Progress, Update};

/// The parts of an update that is not complete, kept when the stream ends.
#[derive(Default)]
pub(crate) struct Incoming {
    parts: Vec<Update>,
    progress: Option<Progress>,
    /// The nonce of the parts that came on the present stream.
    nonce: Option<String>,
}

impl Incoming {
    /// A stream begins. What the last one has left stays only if it is known how far it reaches.
    pub(crate) fn begin_stream(&mut self) {
        self.nonce = None;
        if self.progress.is_none() {
            self.parts.clear();
        }
    }

    /// How far the kept parts reach.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// Takes the next part. Returns all parts of the update, once it is complete.
    pub(crate) fn take(&mut self, mut part: Update) -> Option<Vec<Update>> {
        if self.nonce.as_ref() != Some(&part.nonce) {
            // Another update on this stream was never completed, so none of it is applied.
            if !part.resumes || self.nonce.is_some() {
                self.parts.clear();
                self.progress = None;
            }
            self.nonce = Some(part.nonce.clone());
        }
        if part.progress.is_some() {
            self.progress = part.progress.take();
        }
        let complete = !part.more_follows;
        self.parts.push(part);
        complete.then(|| {
            self.progress = None;
            self.nonce = None;
            std::mem::take(&mut self.parts)
        })
    }
}
