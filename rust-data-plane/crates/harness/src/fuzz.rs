use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Inputs without `FUZZ_SECONDS`, when they are the same in every run.
const FEW: usize = 3_000;
const MOST_BYTES: usize = 1 << 16;
const MOST_INPUTS: usize = 4_096;

/// Feeds a reader with what it may meet, and with changes of it, for `FUZZ_SECONDS`; without that variable, with a few thousand.
///
/// It is guided by outcomes: an input whose outcome is new is changed further. An input that makes the target panic is written
/// to the corpus, where every later run begins with it.
#[derive(Debug)]
pub struct Fuzzer {
    folder: PathBuf,
    inputs: Vec<Vec<u8>>,
}

impl Fuzzer {
    /// With the files of the corpus `name` of the crate in `manifest_dir`.
    pub fn new(manifest_dir: &str, name: &str) -> Self {
        let folder = PathBuf::from(manifest_dir).join("corpus").join(name);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).into_iter().flatten().map(|file| file.unwrap().path()).collect();
        files.sort();
        Self { folder, inputs: files.iter().map(|file| fs::read(file).unwrap()).collect() }
    }

    /// Adds an input.
    #[must_use]
    pub fn seed(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.inputs.push(input.into());
        self
    }

    /// Runs `target`. What it returns tells one kind of outcome from another.
    pub fn run<O: Hash>(mut self, target: impl Fn(&[u8]) -> O) {
        assert!(!self.inputs.is_empty(), "there is nothing to change");
        let time = std::env::var("FUZZ_SECONDS").ok().map(|text| Duration::from_secs(text.parse().unwrap()));
        let seed = if time.is_some() { rand::rng().random() } else { 0 };
        let (mut random, began, mut seen) = (StdRng::seed_from_u64(seed), Instant::now(), HashSet::new());
        for input in &self.inputs {
            seen.insert(self.outcome(&target, input));
        }
        let mut runs = 0;
        while time.map_or(runs < FEW, |time| began.elapsed() < time) {
            let input = self.change(&mut random);
            if seen.insert(self.outcome(&target, &input)) && self.inputs.len() < MOST_INPUTS {
                self.inputs.push(input);
            }
            runs += 1;
        }
        println!("{}: {runs} inputs, {} outcomes, seed {seed}", self.folder.display(), seen.len());
    }

    fn outcome<O: Hash>(&self, target: &impl Fn(&[u8]) -> O, input: &[u8]) -> u64 {
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| target(input))) else {
            let path = self.folder.join(format!("found-{:016x}", hash(&input)));
            fs::create_dir_all(&self.folder).unwrap();
            fs::write(&path, input).unwrap();
            panic!("{} makes it fail", path.display());
        };
        hash(&outcome)
    }

    fn change(&self, random: &mut StdRng) -> Vec<u8> {
        let mut input = self.pick(random).to_vec();
        for _ in 0..random.random_range(1..=4) {
            self.change_once(&mut input, random);
        }
        input.truncate(MOST_BYTES);
        input
    }

    fn change_once(&self, input: &mut Vec<u8>, random: &mut StdRng) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len()).min(at + 64);
        match random.random_range(0..8) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 if at < input.len() => input[at] = random.random(),
            2 => input.insert(at, random.random()),
            3 => drop(input.drain(at..end)),
            4 => input.truncate(at),
            5 => {
                let part = input[at..end].to_vec();
                let to = random.random_range(0..=input.len());
                input.splice(to..to, part);
            }
            6 => {
                let other = self.pick(random);
                let from = random.random_range(0..=other.len());
                let part = other[from..random.random_range(from..=other.len())].to_vec();
                input.splice(at..end, part);
            }
            _ => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                input.splice(at..end.min(at + word.len()), word.iter().copied());
            }
        }
    }

    fn pick(&self, random: &mut StdRng) -> &[u8] {
        &self.inputs[random.random_range(0..self.inputs.len())]
    }
}

/// What readers of numbers, texts and lengths tend to get wrong.
const WORDS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"9223372036854775807",
    b"9223372036854775808",
    b"1e400",
    b"null",
    b"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"{}",
    b"[]",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
    b"\xff\xff\xff\xff\x0f",
    b"\x00",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
];

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_only_a_chain_of_outcomes_leads_to_and_keeps_it() {
        let crate_of_it = tempfile::tempdir().unwrap();
        let manifest = crate_of_it.path().to_str().unwrap();
        let found = catch_unwind(|| {
            Fuzzer::new(manifest, "chain").seed("hybrid").run(|input| {
                let depth = input.iter().take_while(|&&byte| byte == b'h').count();
                assert!(depth < 4, "found");
                depth
            });
        });
        assert!(found.is_err(), "chance alone does not lead there");
        let kept = Fuzzer::new(manifest, "chain");
        assert!(kept.inputs.len() == 1 && kept.inputs[0].starts_with(b"hhhh"), "{kept:?}");
    }
}
