use std::collections::BTreeMap;

/// Where each partition that this member owns is read from.
///
/// Every record of a partition is admitted in the order of the log, from the committed offset on, or the partition is read
/// again from where it should have gone on. So no record between two committed offsets is left out, whatever a poll, a
/// rebalance or a failed transaction did with it.
#[derive(Debug, Default)]
pub(crate) struct Positions(BTreeMap<i32, Position>);

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// Where it is read again from: the group's committed offset or, before its first commit, the first record that was read.
    committed: Option<i64>,
    /// The offset of the next record.
    next: Option<i64>,
    /// The log was asked for `next`, and so has what it delivers next.
    asked: bool,
    /// A record was admitted since that was last asked for.
    moved: bool,
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is the next one.
    Next,
    /// It is the next one that the log still has: this many before it were deleted unread.
    AfterLoss(i64),
    /// It was admitted before, or belongs to a partition of another member.
    Ignored,
    /// Records before it have not been admitted: the partition is to be read again from this offset.
    Gap(i64),
}

impl Positions {
    /// The positions after an assignment, from what the group has committed.
    pub(crate) fn assigned(committed: impl IntoIterator<Item = (i32, Option<i64>)>) -> Self {
        let position =
            |(partition, committed)| (partition, Position { committed, next: committed, ..Position::default() });
        Self(committed.into_iter().map(position).collect())
    }

    /// Admits a record, and moves on behind it, or says why not.
    pub(crate) fn admit(&mut self, partition: i32, offset: i64) -> Admission {
        let Some(position) = self.0.get_mut(&partition) else { return Admission::Ignored };
        let admission = match position.next {
            Some(next) if offset < next => return Admission::Ignored,
            Some(next) if offset > next && !position.asked => return Admission::Gap(next),
            Some(next) if offset > next => Admission::AfterLoss(offset - next),
            _ => Admission::Next,
        };
        position.committed.get_or_insert(offset);
        position.next = Some(offset + 1);
        position.asked = false;
        position.moved = true;
        admission
    }

    /// The partitions of which no record was admitted since the last call, and the offset of the next one.
    pub(crate) fn unmoved(&mut self) -> Vec<(i32, Option<i64>)> {
        let still = self.0.iter_mut().filter_map(|(&partition, position)| {
            (!std::mem::take(&mut position.moved)).then_some((partition, position.next))
        });
        still.collect()
    }

    /// The log was asked for the next record of the partition: what it delivers now is the next one that it has.
    pub(crate) fn asked(&mut self, partition: i32) {
        if let Some(position) = self.0.get_mut(&partition) {
            position.asked = true;
        }
    }

    /// The group has committed these offsets.
    pub(crate) fn committed(&mut self, offsets: &BTreeMap<i32, i64>) {
        for (partition, &next) in offsets {
            if let Some(position) = self.0.get_mut(partition) {
                position.committed = Some(next);
            }
        }
    }

    /// Goes back to what is committed. Returns the offsets to read again from.
    pub(crate) fn rewind(&mut self) -> Vec<(i32, i64)> {
        let behind = self.0.iter_mut().filter(|(_, position)| position.next != position.committed);
        behind
            .filter_map(|(&partition, position)| {
                position.next = position.committed;
                // The records from there on were delivered before, so the log has them.
                position.asked = false;
                Some((partition, position.committed?))
            })
            .collect()
    }

    /// Records up to the end of the log that are not committed.
    pub(crate) fn lag(&self, partition: i32, end: i64) -> Option<i64> {
        Some((end - self.0.get(&partition)?.committed.unwrap_or(0)).max(0))
    }

    /// The partitions.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.0.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_after_a_gap_is_read_again_from_the_gap() {
        let mut positions = Positions::assigned([(0, Some(5)), (1, None)]);
        assert_eq!(positions.admit(0, 5), Admission::Next);
        // Until the log could be asked for it, nothing behind the gap counts.
        assert_eq!([8, 9].map(|offset| positions.admit(0, offset)), [Admission::Gap(6); 2]);
        positions.asked(0);
        assert_eq!([6, 7, 8].map(|offset| positions.admit(0, offset)), [Admission::Next; 3]);
        assert_eq!(positions.admit(0, 7), Admission::Ignored);
        assert_eq!((positions.admit(1, 40), positions.admit(2, 0)), (Admission::Next, Admission::Ignored));
    }

    #[test]
    fn what_the_log_has_no_more_is_counted_once_it_was_asked_for() {
        let mut positions = Positions::assigned([(0, Some(5))]);
        assert_eq!(positions.admit(0, 9), Admission::Gap(5));
        positions.asked(0);
        assert_eq!([9, 10].map(|offset| positions.admit(0, offset)), [Admission::AfterLoss(4), Admission::Next]);
    }

    #[test]
    fn a_rewind_goes_back_to_what_is_committed() {
        let mut positions = Positions::assigned([(0, Some(5)), (1, None), (2, Some(1))]);
        assert_eq!(
            [(0, 5), (0, 6), (1, 3)].map(|(partition, offset)| positions.admit(partition, offset)),
            [Admission::Next; 3]
        );
        positions.committed(&[(0, 6)].into());
        assert_eq!(positions.rewind(), [(0, 6), (1, 3)]);
        assert_eq!(positions.admit(1, 4), Admission::Gap(3));
        assert_eq!(positions.rewind(), []);
        assert_eq!(positions.lag(0, 9), Some(3));
    }

    proptest! {
        /// A log of which records are left out, but not the one that was just asked for, and rewinds at any time: what is
        /// committed are its records in their order.
        #[test]
        fn every_record_is_committed_once(steps in vec((any::<bool>(), 0..10_u8), 1..300)) {
            let mut positions = Positions::assigned([(0, Some(0))]);
            let (mut at, mut asked) = (0, false);
            let (mut batch, mut committed) = (Vec::new(), Vec::new());
            for (left_out, step) in steps {
                match step {
                    0 => {
                        committed.append(&mut batch);
                        positions.committed(&[(0, committed.len() as i64)].into());
                    }
                    1 => {
                        batch.clear();
                        for (_, from) in positions.rewind() {
                            at = from;
                        }
                    }
                    _ => {
                        let offset = at;
                        at += 1;
                        if left_out && !asked {
                            continue;
                        }
                        asked = false;
                        match positions.admit(0, offset) {
                            Admission::Next => batch.push(offset),
                            Admission::Gap(next) => {
                                positions.asked(0);
                                (at, asked) = (next, true);
                            }
                            Admission::Ignored => {}
                            Admission::AfterLoss(lost) => prop_assert!(false, "{lost} are in the log"),
                        }
                    }
                }
            }
            prop_assert_eq!(&committed, &(0..committed.len() as i64).collect::<Vec<_>>());
        }
    }
}
