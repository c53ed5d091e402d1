//! What is drawn on terminals of any size, and said in a log; nothing waits here.

use std::time::{Duration, Instant};

use immut_core::image::Platform;
use immut_core::name::Digest;
use immut_core::progress::{Event, Part, State, Task, Work};

use super::*;
use crate::progress::plain;

/// Pieces in work, all begun at the same time.
struct Scene {
    board: Board,
    begun: Instant,
    id: u64,
}

impl Scene {
    fn new() -> Self {
        let begun = Instant::now();
        Self { board: Board::new(begun), begun, id: 0 }
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.begun + Duration::from_millis(milliseconds)
    }

    /// Begins a layer and gives its event, to be told again.
    fn begin(
        &mut self,
        platform: Option<&'static Platform>,
        number: usize,
        of: usize,
    ) -> Event<'static> {
        self.id += 1;
        let (digest, total) = (Digest::of(&self.id.to_be_bytes()), 45_000_000);
        let part = Part::Layer { number, of };
        let work = Work { task: Task::Download, platform, part, digest, total };
        let event = Event { id: self.id, work, done: 0, state: State::Started, encoding: None };
        self.board.take(&event, self.begun);
        event
    }

    /// So many bytes are done then.
    fn reach(&mut self, event: &Event<'static>, done: u64, milliseconds: u64) {
        let now = self.at(milliseconds);
        self.board.take(&Event { done, state: State::Running, ..*event }, now);
        self.board.tick(now);
    }
}

fn platforms() -> [&'static Platform; 2] {
    ["linux/amd64", "linux/arm64"].map(|text| {
        let platform: Platform = text.parse().expect("a platform");
        &*Box::leak(Box::new(platform))
    })
}

#[test]
fn a_line_has_layer_digest_bar_bytes_rate_and_time() {
    let mut scene = Scene::new();
    let event = scene.begin(None, 0, 6);
    scene.reach(&event, 15_000_000, 5000);
    let drawn = lines(&scene.board, scene.at(5000), 79, 23);
    let digest = &event.work.digest.hex()[..12];
    let bar = "[====        ]";
    let expected = format!("download layer 1/6 {digest} {bar}   15.0/45.0 MB   3.00 MB/s  0:10");
    assert_eq!(drawn, [expected, "total    0 done, 15.00 MB read, 0:05".to_owned()]);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_the_bytes_stay_longest() {
    let mut scene = Scene::new();
    for platform in platforms() {
        let event = scene.begin(Some(platform), 126, 127);
        scene.reach(&event, 44_999_999, 1000);
    }
    for width in 1..200 {
        let drawn = lines(&scene.board, scene.at(1000), width, 23);
        assert!(drawn.iter().all(|line| line.chars().count() <= width), "{width}: {drawn:#?}");
        let second = &drawn[1];
        assert_eq!(second.contains('['), width >= 46, "{width}: {second}");
        assert_eq!(second.contains("45.0/45.0 MB"), width >= 37, "{width}: {second}");
        assert_eq!(second.contains("MB/s"), width >= 76, "{width}: {second}");
        assert_eq!(second.contains("linux/arm64"), width >= 58, "{width}: {second}");
    }
}

#[test]
fn of_127_layers_only_some_are_shown_and_the_rest_is_counted() {
    let mut scene = Scene::new();
    for number in 0..127 {
        scene.begin(None, number, 127);
    }
    let drawn = lines(&scene.board, scene.begun, 79, 23);
    assert_eq!(drawn.len(), MOST + 1);
    assert!(drawn[MOST].starts_with("total    115 more in work, 0 done"), "{drawn:#?}");
    for height in 1..30 {
        let drawn = lines(&scene.board, scene.begun, 79, height);
        assert!(drawn.len() <= height, "{height}: {drawn:#?}");
    }
}

#[test]
fn nothing_in_work_is_nothing_drawn() {
    let mut scene = Scene::new();
    let event = scene.begin(None, 0, 1);
    scene.board.take(&Event { state: State::Done, done: event.work.total, ..event }, scene.begun);
    assert_eq!(lines(&scene.board, scene.begun, 79, 23), [""; 0]);
    assert_eq!(scene.board.totals(scene.begun).read, event.work.total);
}

#[test]
fn lines_that_wrap_on_a_smaller_terminal_are_taken_away_whole() {
    let screen = Screen { drawn: vec![79, 30, 0] };
    assert_eq!(screen.erasure(80), "\r\u{1b}[3A\u{1b}[J");
    assert_eq!(screen.erasure(40), "\r\u{1b}[4A\u{1b}[J");
    assert_eq!(screen.erasure(25), "\r\u{1b}[7A\u{1b}[J");
    assert_eq!(Screen::default().erasure(80), "");
}

#[test]
fn a_stalled_piece_slows_down_and_then_has_no_end() {
    let mut scene = Scene::new();
    let event = scene.begin(None, 0, 1);
    scene.reach(&event, 9_000_000, 3000);
    for seconds in 4..60 {
        scene.board.tick(scene.at(seconds * 1000));
    }
    let drawn = lines(&scene.board, scene.at(60_000), 79, 23);
    assert!(drawn[0].ends_with(" 0 B/s      "), "{drawn:#?}");
}

/// A log says nothing of what is short, and never looks dead.
#[test]
fn a_log_hears_of_long_work_again_and_again() {
    let mut scene = Scene::new();
    let event = scene.begin(None, 2, 6);
    let name = format!("download layer 3/6 {}", &event.work.digest.hex()[..12]);
    let mut said = Vec::new();
    for second in 1..=30 {
        scene.reach(&event, second * 1_000_000, second * 1000);
        let now = scene.at(second * 1000);
        said.extend(plain::due(&mut scene.board, now).into_iter().map(|line| (second, line)));
    }
    let line = |done: &str| format!("{name}: {done} of 45.00 MB, 1.00 MB/s");
    assert_eq!(said, [(5, line("5.00 MB")), (15, line("15.00 MB")), (25, line("25.00 MB"))]);
    let ended =
        |state, done| plain::ended(&scene.board, &Event { state, done, ..event }, scene.at(45_000));
    assert_eq!(ended(State::Done, 45_000_000), Some(format!("{name}: 45.00 MB in 45.0 s")));
    assert_eq!(ended(State::Failed, 9), Some(format!("{name}: gave up after 45.0 s")));
    let mut short = Scene::new();
    let event = Event { state: State::Done, ..short.begin(None, 0, 1) };
    assert_eq!(plain::ended(&short.board, &event, short.at(100)), None);
}
