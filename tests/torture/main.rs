//! The torture: what a server meets in years, in an hour. `make torture` runs it, `make test-all` runs a minute of it.
//!
//! Each scene is a file with its invariant written at the top. `TORTURE_MINUTES` is the time that all scenes take
//! together. `TORTURE_SEED` repeats the decisions of an earlier run, not its timing; every run prints its seed.
//!
//! A scene fails at the first thing that does not hold. A wait in it has a bound, far above what the wait takes: it
//! finds what hangs, and measures nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a panic fails the test

mod crashes;
mod days;
mod failures;
mod invariants;
mod mix;
mod stalls;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tests::Random;

/// The time of a scene, and the random decisions in it.
pub struct Plan {
    /// When the scene should end. What was begun is ended and checked.
    pub end: Instant,
    /// Scenes that count something do it in proportion to this.
    pub minutes: f64,
    /// The source of decisions.
    pub random: Random,
}

impl Plan {
    /// The plan of a scene that may take this share of the time, in percent.
    pub fn new(scene: &str, percent: f64) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<f64>().expect(name));
        let minutes = number("TORTURE_MINUTES").unwrap_or(1.0);
        let seed = std::env::var("TORTURE_SEED").ok().map_or_else(
            || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
            |text| text.parse().expect("TORTURE_SEED is a number"),
        );
        let time = Duration::from_secs_f64(minutes * 60.0 * percent / 100.0);
        println!("{scene}: {} s, TORTURE_SEED={seed}", time.as_secs());
        // the generator must not start at 0
        Self { end: Instant::now() + time, minutes, random: Random(seed | 1 << 40) }
    }

    /// Whether there is time left.
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Another source of decisions, for a thread.
    pub fn fork(&mut self) -> Random {
        Random(self.random.below(1 << 40) as u64 | 1 << 41)
    }
}

#[test]
#[ignore = "make torture"]
fn crashes() {
    crashes::run(Plan::new("crashes", 35.0));
}

#[test]
#[ignore = "make torture"]
fn days() {
    days::run(Plan::new("days", 20.0));
}

#[test]
#[ignore = "make torture"]
fn failures() {
    failures::run(Plan::new("failures", 10.0));
}

#[test]
#[ignore = "make torture"]
fn mix() {
    mix::run(Plan::new("mix", 35.0));
}

#[test]
#[ignore = "make torture"]
fn stalls() {
    stalls::run(Plan::new("stalls", 0.0));
}
