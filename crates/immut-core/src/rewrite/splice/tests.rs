//! The splice against encoders and decoders that others wrote.
#![expect(clippy::cast_possible_truncation, reason = "what tests make fits in memory")]

use std::cell::RefCell;
use std::io::BufReader;

use immut_testkit::encoders::{
    Block, Body, Encoder, Header, Program, Shape, Stream, accepted, encoders, gzip,
};
use immut_testkit::recipe::Encoding;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::*;
use crate::codec::Decoder;
use crate::parallel::ahead;

/// A blob, its archive, and where it may be cut.
struct Layer {
    compression: Compression,
    blob: Vec<u8>,
    tar: Vec<u8>,
    spans: Spans,
}

/// What is done with an archive, in order.
#[derive(Debug, Clone)]
enum Step {
    Keep(Range<u64>),
    Write(Vec<u8>),
}

impl Layer {
    fn new(compression: Compression, blob: Vec<u8>) -> Self {
        let mut decoder =
            Decoder::new(compression, BufReader::new(&blob[..]), 25).expect("a decoder");
        let mut tar = Vec::new();
        decoder.read_to_end(&mut tar).expect("it decodes");
        let spans = decoder.finish().0;
        Self { compression, blob, tar, spans }
    }

    fn of(encoder: &Encoder, tar: &[u8]) -> Option<Self> {
        let zstd = encoder.encoding() == Encoding::Zstd;
        let compression = if zstd { Compression::Zstd } else { Compression::Gzip };
        let layer = Self::new(compression, encoder.encode(tar)?);
        assert!(layer.tar == tar);
        Some(layer)
    }

    fn splice(&self, steps: &[Step]) -> (Vec<u8>, Counts) {
        std::thread::scope(|scope| {
            let old = Old::new(ahead(scope, &self.blob[..]).0);
            let out = Limited(Vec::new(), 2 * self.wanted(steps).len() + self.blob.len() + 10_000);
            let mut splice = Splice::new(self.compression, &self.spans, old, out).expect("begun");
            for step in steps {
                match step {
                    Step::Keep(range) => {
                        let mut raw = &self.tar[range.start as usize..];
                        splice.keep(range.clone(), &mut raw).expect("kept");
                    }
                    Step::Write(bytes) => splice.write_all(bytes).expect("written"),
                }
            }
            let (out, counts) = splice.finish().expect("finished");
            (out.0, counts)
        })
    }

    fn wanted(&self, steps: &[Step]) -> Vec<u8> {
        let bytes = |step: &Step| match step {
            Step::Keep(range) => self.tar[range.start as usize..range.end as usize].to_vec(),
            Step::Write(bytes) => bytes.clone(),
        };
        steps.iter().flat_map(bytes).collect()
    }

    /// How many bytes can be copied: those of spans that lie wholly in a range that is kept, with the
    /// bytes before them that they may refer to.
    fn copyable(&self, steps: &[Step]) -> u64 {
        let window = if matches!(self.spans.scheme, Scheme::Frames) { 0 } else { WINDOW };
        // From where on spans can be copied, and where the last range ended.
        let (mut from, mut end, mut copied) = (0, Some(0), 0);
        for step in steps {
            let Step::Keep(range) = step else {
                end = None;
                continue;
            };
            if end != Some(range.start) {
                from = range.start + window;
            }
            let first = from.max(range.start);
            let spans = self.spans.list().iter();
            let inside = spans.filter(|s| s.raw.start >= first && s.raw.end <= range.end);
            copied += inside.map(|span| span.raw.end - span.raw.start).sum::<u64>();
            end = Some(range.end);
        }
        copied
    }

    /// Splices and looks at what came out.
    fn check(&self, steps: &[Step]) -> (Vec<u8>, Counts) {
        let wanted = self.wanted(steps);
        let (blob, counts) = self.splice(steps);
        assert!(decode(self.compression, &blob) == wanted, "the blob decodes to something else");
        assert_eq!(counts.copied + counts.encoded, wanted.len() as u64);
        assert_eq!(counts.copied, self.copyable(steps), "something could be copied and was not");
        (blob, counts)
    }
}

/// A writer that has enough at some time: what never ends fails.
struct Limited(Vec<u8>, usize);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() > self.1 {
            return Err(io::Error::other("the blob is far too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// By decoders that are not ours.
fn decode(compression: Compression, blob: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    match compression {
        Compression::Zstd => return zstd::decode_all(blob).expect("zstd accepts it"),
        Compression::Gzip => {
            let mut decoder = flate2::read::MultiGzDecoder::new(blob);
            decoder.read_to_end(&mut found).expect("flate2 accepts it");
        }
        Compression::None => found = blob.to_vec(),
    }
    found
}

/// Pieces of an archive: their kind, their size, and what they begin with.
fn archives() -> impl Strategy<Value = Vec<u8>> {
    let piece = (0..5_u8, prop_oneof![0..3000_usize, 3000..60_000_usize], any::<u32>());
    vec(piece, 1..10).prop_map(|pieces| {
        let mut tar = Vec::new();
        for (kind, size, seed) in pieces {
            put(&mut tar, kind, size, seed);
        }
        tar
    })
}

fn put(tar: &mut Vec<u8>, kind: u8, size: usize, mut seed: u32) {
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for _ in 0..size {
        let byte = match kind {
            0 => noise(),
            1 => b"etaoin shrdlu"[usize::from(noise()) % 13],
            2 => 0,
            // What was there 32 KiB before: as far back as a block may refer.
            3 if tar.len() >= 32_768 => tar[tar.len() - 32_768],
            _ if tar.len() >= 5000 => tar[tar.len() - 5000],
            _ => noise() & 1,
        };
        tar.push(byte);
    }
}

/// Cuts of an archive, some of them where spans end, and what comes between.
#[derive(Debug, Clone)]
struct Cut {
    at: Index,
    at_span: bool,
    kept: bool,
    new: Vec<u8>,
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let new = prop_oneof![
        3 => Just(Vec::new()),
        2 => vec(any::<u8>(), 1..700),
        1 => (any::<u8>(), 60_000..140_000_usize).prop_map(|(byte, size)| vec![byte; size]),
    ];
    let cut = (any::<Index>(), any::<bool>(), prop::bool::weighted(0.8), new)
        .prop_map(|(at, at_span, kept, new)| Cut { at, at_span, kept, new });
    vec(cut, 0..6)
}

/// Between two cuts something is kept or not; at a cut something may come.
fn steps(layer: &Layer, cuts: &[Cut]) -> Vec<Step> {
    let size = layer.tar.len() as u64;
    let place = |cut: &Cut| match layer.spans.list() {
        list if cut.at_span && !list.is_empty() => list[cut.at.index(list.len())].raw.end,
        _ => cut.at.index(layer.tar.len() + 1) as u64,
    };
    let mut places: Vec<(u64, &Cut)> = cuts.iter().map(|cut| (place(cut), cut)).collect();
    places.sort_by_key(|(at, _)| *at);
    let (mut steps, mut from, mut kept) = (Vec::new(), 0, true);
    for (at, cut) in places {
        if kept && from < at {
            steps.push(Step::Keep(from..at));
        }
        if !cut.new.is_empty() {
            steps.push(Step::Write(cut.new.clone()));
        }
        (from, kept) = (at, cut.kept);
    }
    if kept && from < size {
        steps.push(Step::Keep(from..size));
    }
    steps
}

#[test]
fn any_splice_of_any_blob_decodes_to_what_was_wanted() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) };
    let (share, copied) = (RefCell::new(Vec::new()), RefCell::new(0));
    let cases = (archives(), encoders(), cuts());
    TestRunner::new(config)
        .run(&cases, |(tar, encoder, cuts)| {
            let layer = Layer::of(&encoder, &tar).expect("no program is needed");
            let steps = steps(&layer, &cuts);
            let wanted = layer.wanted(&steps);
            let (blob, counts) = layer.check(&steps);
            *copied.borrow_mut() += u64::from(counts.copied > 0);
            if layer.compression == Compression::Gzip && !wanted.is_empty() {
                share.borrow_mut().push((blob, wanted));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(*copied.borrow() > 30, "only {copied:?} of them copied anything");
    let mut share = share.into_inner();
    share.truncate(60);
    accepted(&share);
}

/// What is written by programs: a change in the middle, and all but 100 KB around it is copied.
#[test]
fn what_programs_write_is_copied_but_for_the_change() {
    let mut tar = Vec::new();
    for (kind, seed) in [(1, 3), (0, 5), (4, 8), (1, 9), (2, 2), (1, 7)].repeat(3) {
        put(&mut tar, kind, 60_000, seed);
    }
    let go = [Body::Symbols(16 << 10), Body::Libdeflate(6), Body::Level(6), Body::Level(4)];
    let go = go.map(|body| Encoder::Gzip(Header::default(), body));
    let programs = Program::ALL.map(Encoder::Program);
    let mut outputs = Vec::new();
    for encoder in go.into_iter().chain(programs) {
        let Some(layer) = Layer::of(&encoder, &tar) else { continue };
        let size = tar.len() as u64;
        let steps = [Step::Keep(0..400_000), Step::Write(vec![7; 512]), Step::Keep(401_000..size)];
        let (blob, counts) = layer.check(&steps);
        println!("{encoder:?}: {} spans, {counts:?}", layer.spans.list().len());
        // Python's highest memory level makes blocks of 32 Ki symbols, gzip's own are smaller.
        assert!(counts.copied > size / 3, "{encoder:?}: {counts:?}");
        outputs.push((blob, layer.wanted(&steps)));
    }
    accepted(&outputs);
}

fn blocks(tar: &[u8], blocks: &[(Shape, usize)]) -> Layer {
    let mut stream = Stream::new(tar);
    let count = blocks.len();
    for (number, (shape, length)) in blocks.iter().enumerate() {
        stream.block(Block { shape: *shape, length: *length, last: number + 1 == count });
    }
    assert_eq!(stream.left(), 0);
    let layer = Layer::new(Compression::Gzip, gzip(&Header::default(), &stream.finish(), tar));
    assert!(layer.tar == tar);
    layer
}

fn noise(size: usize) -> Vec<u8> {
    let mut tar = Vec::new();
    put(&mut tar, 0, size, 1);
    tar
}

/// Two ranges that touch where a span ends in the middle of a byte.
#[test]
fn ranges_that_touch_are_one() {
    let tar = noise(200_000);
    for shape in [Shape::Fixed, Shape::Dynamic] {
        let layer =
            blocks(&tar, &[(shape, 50_001), (shape, 50_002), (shape, 50_000), (shape, 49_997)]);
        let ends: Vec<&Span> = layer.spans.list().iter().collect();
        assert!(ends.len() == 4 && ends.iter().any(|span| span.bits.end % 8 != 0));
        for end in ends.iter().map(|span| span.raw.end) {
            let steps = [Step::Keep(0..end), Step::Keep(end..200_000)];
            layer.check(&steps[..if end == 200_000 { 1 } else { 2 }]);
        }
    }
}

/// 100 KB of blocks without content, before a block that cannot be copied.
#[test]
fn empty_blocks_at_the_start_are_no_trap() {
    let tar = noise(100_000);
    let mut shapes = vec![(Shape::Fixed, 0); 80_000];
    shapes.push((Shape::Dynamic, 100_000));
    let layer = blocks(&tar, &shapes);
    layer.check(&[Step::Keep(0..50_000), Step::Keep(50_512..100_000)]);
    layer.check(&[Step::Keep(0..100_000)]);
    layer.check(&[Step::Write(vec![1]), Step::Keep(0..100_000)]);
}

/// Changes in the first and the last 32 KiB, at each end, and next to where spans end.
#[test]
fn changes_at_the_edges_are_found() {
    let mut tar = Vec::new();
    for kind in [1, 3, 0, 3, 2, 3, 1] {
        put(&mut tar, kind, 40_000, 11);
    }
    let size = tar.len() as u64;
    let shapes = [Shape::Dynamic, Shape::Stored, Shape::Fixed];
    let shapes: Vec<_> = (0..14).map(|number| (shapes[number % 3], 20_000)).collect();
    let layer = blocks(&tar, &shapes);
    let ends = layer.spans.list().iter().map(|span| span.raw.end);
    let near = ends
        .flat_map(|end| [end - 1, end, end + 1, end + WINDOW - 1, end + WINDOW, end + WINDOW + 1]);
    let places = near.chain([0, 1, WINDOW - 1, WINDOW, WINDOW + 1, size - WINDOW, size - 1, size]);
    for at in places.filter(|at| *at <= size) {
        let gone = (at + 1).min(size);
        let (keep, new) = (Step::Keep, || Step::Write(b"new".to_vec()));
        for steps in [
            vec![keep(0..at), keep(gone..size)],
            vec![keep(0..at), new(), keep(at..size)],
            vec![keep(0..at)],
            vec![keep(at..size), new()],
            vec![keep(0..at), new()],
        ] {
            let some = |step: &Step| !matches!(step, Step::Keep(range) if range.is_empty());
            layer.check(&steps.into_iter().filter(some).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_header_stays_and_an_unchanged_archive_is_copied() {
    let header = Header { name: Some("layer.tar".into()), sum: true, ..Header::default() };
    let tar = noise(500_000);
    for body in [Body::Level(6), Body::Level(0), Body::Symbols(16 << 10)] {
        let layer = Layer::of(&Encoder::Gzip(header.clone(), body), &tar).expect("no program");
        let (blob, counts) = layer.check(&[Step::Keep(0..500_000)]);
        assert_eq!(counts, Counts { copied: 500_000, encoded: 0 });
        let head = 10 + "layer.tar\0".len() + 2;
        assert_eq!(blob[..head], layer.blob[..head]);
        // The sum and the size after it are the same, too; the stream only ends in another way.
        assert_eq!(blob[blob.len() - 8..], layer.blob[layer.blob.len() - 8..]);
        assert!(blob.len() <= layer.blob.len() + 20);
    }
}

#[test]
fn the_same_archive_gives_the_same_blob_however_it_arrives() {
    let tar: Vec<u8> = (0..50_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let encode = |piece: usize| {
            let mut splice = Splice::whole(compression, Vec::new());
            tar.chunks(piece).for_each(|piece| splice.write_all(piece).expect("written"));
            splice.finish().expect("finished").0
        };
        let whole = encode(tar.len());
        assert_eq!(Compression::of_magic(&whole), Some(compression));
        assert!(decode(compression, &whole) == tar);
        assert!(encode(777) == whole && encode(100_000) == whole, "{compression:?}");
    }
}

/// An old blob that ends too early, or fails, is never half a new one.
#[test]
fn an_old_blob_that_breaks_is_an_error() {
    let tar = noise(400_000);
    let layer = Layer::of(&Encoder::Gzip(Header::default(), Body::Level(6)), &tar).expect("made");
    let cut = &layer.blob[..layer.blob.len() / 2];
    let failed = std::thread::scope(|scope| {
        let old = Old::new(ahead(scope, cut).0);
        let mut splice =
            Splice::new(Compression::Gzip, &layer.spans, old, Vec::new()).expect("begun");
        splice.keep(0..400_000, &mut &tar[..]).and_then(|()| splice.finish().map(drop)).is_err()
    });
    assert!(failed);
}
