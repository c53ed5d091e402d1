//! Layers that can be pulled lazily, after the description of eStargz in stargz-snapshotter's
//! `docs/estargz.md`.

use serde_json::{Value, json};
use tar::EntryType;

use super::encode::gzip;
use super::{LayerRecipe, digest_of};

/// A layer with its table of contents.
pub(super) struct Lazy {
    /// The archive, with landmark and table.
    pub(super) tar: Vec<u8>,
    pub(super) blob: Vec<u8>,
    /// The digest of the table, for the annotation [`TOC_DIGEST`].
    pub(super) toc_digest: String,
}

/// The annotation of a layer's descriptor that vouches for its table.
pub(super) const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

/// Makes an eStargz layer of an archive's entries, without their end. No file is prefetched.
pub(super) fn estargz(entries: &[u8]) -> Lazy {
    let landmark = LayerRecipe::new().file("/.no.prefetch.landmark", 0o644, [0xf]).ending([]);
    let mut tar = [&landmark.into_tar(), entries].concat();
    let (mut blob, mut toc) = (Vec::new(), Vec::new());
    let mut done = 0;
    for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
        let entry = entry.unwrap();
        let mut line = line(&entry);
        let (start, size) = (at(entry.raw_file_position()), at(entry.size()));
        if size > 0 {
            // A member begins at the top of each file's content.
            blob.extend(gzip(&tar[done..start]));
            done = start;
            let digest = digest_of(&tar[start..start + size]);
            line["offset"] = blob.len().into();
            line["digest"] = digest.as_str().into();
            line["chunkDigest"] = digest.into();
        }
        toc.push(line);
    }
    blob.extend(gzip(&tar[done..]));
    let toc = json!({ "version": 1, "entries": toc }).to_string();
    let table = LayerRecipe::new().file("/stargz.index.json", 0o444, &toc).into_tar();
    let footer = footer(blob.len());
    blob.extend(gzip(&table));
    blob.extend(footer);
    tar.extend(table);
    Lazy { tar, blob, toc_digest: digest_of(toc.as_bytes()) }
}

/// What the table says of an entry.
fn line(entry: &tar::Entry<'_, &[u8]>) -> Value {
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Directory => "dir",
        EntryType::Symlink => "symlink",
        EntryType::Link => "hardlink",
        EntryType::Regular => "reg",
        other => panic!("{other:?} has no place in this table"),
    };
    let mut line = json!({
        "name": String::from_utf8_lossy(&entry.path_bytes()), "type": kind,
        "mode": header.mode().unwrap(), "uid": header.uid().unwrap(), "gid": header.gid().unwrap(),
    });
    if let Some(target) = entry.link_name_bytes() {
        line["linkName"] = String::from_utf8_lossy(&target).into();
    }
    if entry.size() > 0 {
        line["size"] = entry.size().into();
    }
    line
}

/// An empty gzip member whose extra field says where the table begins.
fn footer(table: usize) -> Vec<u8> {
    let head = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, b'S', b'G', 22, 0];
    let place = format!("{table:016x}STARGZ");
    let empty_block = [1, 0, 0, 0xff, 0xff];
    [&head[..], place.as_bytes(), &empty_block, &[0; 8]].concat()
}

fn at(position: u64) -> usize {
    usize::try_from(position).unwrap()
}
