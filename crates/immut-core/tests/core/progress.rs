//! What is told of long work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use immut_core::Options;
use immut_core::progress::{Event, Progress, State, Task};
use immut_testkit::contents;
use immut_testkit::recipe::{Fault, Recipe};

use crate::common::Scene;

/// Task, state, bytes done and in all.
type Told = (Task, &'static str, u64, u64);
/// What was told, by the pieces' numbers.
type Pieces = BTreeMap<u64, Vec<Told>>;

#[derive(Debug, Default)]
struct Heard(Mutex<Pieces>);

impl Progress for Heard {
    fn event(&self, event: &Event<'_>) {
        let word = match event.state {
            State::Started => "start",
            State::Running => "goes on",
            State::Done => "done",
            State::Reused(_) => "reused",
            _ => "failed",
        };
        assert_eq!(event.work.platform.map(ToString::to_string).as_deref(), Some("linux/amd64"));
        let told = (event.work.task, word, event.done, event.work.total);
        self.0.lock().expect("no panic").entry(event.id).or_default().push(told);
    }
}

fn heard(recipe: &Recipe) -> Pieces {
    let heard = Arc::new(Heard::default());
    let options = Options { progress: heard.clone(), jobs: 1, ..Options::default() };
    drop(Scene::of(recipe).try_harden(&options));
    std::mem::take(&mut *heard.0.lock().expect("no panic"))
}

fn image() -> Recipe {
    Recipe::new()
        .layer(|l| {
            l.file("/bin/bash", 0o755, contents::bash()).file("/more", 0o644, vec![7; 90_000])
        })
        .layer(|l| l.file("/app", 0o755, contents::program()))
        .entrypoint(&["/app"])
}

#[test]
fn each_piece_is_told_from_its_start_to_its_one_end() {
    let heard = heard(&image());
    let mut ended: BTreeMap<Task, usize> = BTreeMap::new();
    for piece in heard.values() {
        let (first, last) = (piece[0], piece[piece.len() - 1]);
        assert_eq!((first.1, first.2, last.1, last.2), ("start", 0, "done", last.3), "{piece:?}");
        assert!(piece[1..piece.len() - 1].iter().all(|told| told.1 == "goes on"), "{piece:?}");
        assert!(piece.is_sorted_by_key(|told| told.2), "{piece:?}");
        *ended.entry(first.0).or_default() += 1;
    }
    // Only the first layer has something that goes.
    let expected = [(Task::Index, 2), (Task::Rewrite, 1)];
    assert_eq!(ended, expected.into_iter().collect());
}

#[test]
fn what_fails_is_never_told_as_done() {
    let heard = heard(&image().fault(Fault::Content));
    let ends: Vec<_> = heard.values().map(|piece| piece[piece.len() - 1].1).collect();
    assert_eq!(ends.iter().filter(|end| **end == "failed").count(), 1, "{heard:?}");
    assert!(!heard.values().any(|piece| piece[0].0 != Task::Index), "{heard:?}");
}
