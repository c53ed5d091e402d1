//! What cosign wants to find in a layout, so that `cosign verify --local-image DIR` works.
//!
//! Found by experiment with cosign 2.5 and 3.1, and documented nowhere:
//!
//! - cosign knows lines of `index.json` by an annotation `kind`: the image has
//!   `dev.cosignproject.cosign/image` (an index `.../imageIndex`), the manifest of its legacy
//!   signatures `dev.cosignproject.cosign/sigs`, that of its attestations `.../atts`. Other lines
//!   are passed over; a line may have a name as well.
//! - Of each kind only the first line counts. So cosign verifies one image of a layout: here the
//!   one that was signed or named last.
//! - cosign 3 finds bundles without `index.json`: it reads every file under `blobs/sha256` and
//!   takes the manifests whose subject is the image. The fallback index `sha256-HEX` is not used,
//!   and not minded. If there is a bundle, the legacy signatures are not looked at.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::listing::REF_NAME;
use super::referrers::{self, MAX_REFERRER};
use crate::image::{Descriptor, media_type};
use crate::name::Digest;

/// The digest that a tag for signatures or referrers is about: `sha256-HEX[.sig|.att]`.
pub(super) fn subject(tag: Option<&str>) -> Option<Digest> {
    let digits = tag?.strip_prefix("sha256-")?;
    let digits = digits.strip_suffix(".sig").or(digits.strip_suffix(".att")).unwrap_or(digits);
    format!("sha256:{digits}").parse().ok()
}

/// Puts images before what is about them, and marks `image` for cosign if it is signed.
pub(super) fn arrange(lines: &mut [Value], image: &Digest) {
    lines.sort_by_key(|line| about(line).is_some());
    let digest = image.to_string();
    let is_image = |line: &Value| about(line).is_none() && line["digest"] == digest;
    let signed = lines.iter().any(|line| about(line) == Some(*image));
    if !signed || !lines.iter().any(is_image) {
        return;
    }
    let saved_here = is_marked(lines, image);
    let named: Vec<_> = lines.iter().filter_map(|line| signature_kind(line, image)).collect();
    for line in lines {
        let saved = saved_kind(line).filter(|kind| saved_here && !named.contains(kind));
        let kind = if is_image(line) {
            Some(image_kind(line))
        } else {
            signature_kind(line, image).or(saved)
        };
        match kind {
            Some(kind) => mark(line, kind),
            None => unmark(line),
        }
    }
}

/// The manifest that `cosign save` stored for the tag `sha256-HEX.sig` (or `.att`).
pub(super) fn saved(lines: &[Value], tag: &str) -> Option<Descriptor> {
    let image = subject(Some(tag))?.to_string();
    let wanted = kind_of_tag(tag)?;
    let first = |kinds: &[&str]| {
        lines.iter().find(|line| kinds.iter().any(|kind| line["annotations"][KIND] == *kind))
    };
    first(&[IMAGE, IMAGE_INDEX]).filter(|line| line["digest"] == image)?;
    Descriptor::deserialize(first(&[wanted])?).ok()
}

/// Whether a line is that of signatures or attestations.
pub(super) fn is_signature(line: &Value) -> bool {
    [SIGNATURES, ATTESTATIONS].iter().any(|kind| line["annotations"][KIND] == *kind)
}

/// Whether cosign would take `image` for the image of this layout.
pub(super) fn is_marked(lines: &[Value], image: &Digest) -> bool {
    let kinds = [IMAGE, IMAGE_INDEX];
    lines.iter().any(|line| {
        line["digest"] == image.to_string() && kinds.iter().any(|k| line["annotations"][KIND] == *k)
    })
}

/// The manifests among the blobs whose subject is `image`, found as cosign finds them: by reading.
pub(super) fn unlisted(blobs: &Path, image: &Digest) -> io::Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(blobs)? {
        let entry = entry?;
        let named = entry.file_name().to_str().map(|name| format!("sha256:{name}"));
        let named = named.and_then(|name| name.parse::<Digest>().ok());
        let file = fs::metadata(entry.path());
        let small = file.is_ok_and(|file| file.is_file() && file.len() <= MAX_REFERRER);
        if named.is_some() && small {
            found.extend(referrer(&entry.path(), image)?);
        }
    }
    found.sort_by_key(|blob| blob.digest);
    Ok(found)
}

fn referrer(path: &Path, image: &Digest) -> io::Result<Option<Descriptor>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_REFERRER).read_to_end(&mut bytes)?;
    let about = referrers::about(&bytes).filter(|(subject, _)| subject == image);
    Ok(about.map(|(_, referrer)| referrer))
}

/// The image that a line is about; none if it is an image itself.
fn about(line: &Value) -> Option<Digest> {
    subject(line["annotations"][REF_NAME].as_str())
}

fn image_kind(line: &Value) -> &'static str {
    let kind = line["mediaType"].as_str().unwrap_or_default();
    let index = [media_type::OCI_INDEX, media_type::DOCKER_LIST].contains(&kind);
    if index { IMAGE_INDEX } else { IMAGE }
}

/// The mark of a line without a name, as `cosign save` writes it.
fn saved_kind(line: &Value) -> Option<&'static str> {
    let annotations = &line["annotations"];
    let unnamed = annotations[REF_NAME].is_null();
    [SIGNATURES, ATTESTATIONS].into_iter().find(|kind| unnamed && annotations[KIND] == **kind)
}

fn signature_kind(line: &Value, image: &Digest) -> Option<&'static str> {
    let name = line["annotations"][REF_NAME].as_str()?;
    if subject(Some(name)) == Some(*image) { kind_of_tag(name) } else { None }
}

fn kind_of_tag(tag: &str) -> Option<&'static str> {
    match tag.rsplit_once('.') {
        Some((_, "sig")) => Some(SIGNATURES),
        Some((_, "att")) => Some(ATTESTATIONS),
        _ => None,
    }
}

fn mark(line: &mut Value, kind: &str) {
    if line["annotations"].is_null() {
        line["annotations"] = json!({});
    }
    if let Some(annotations) = line["annotations"].as_object_mut() {
        annotations.insert(KIND.to_owned(), json!(kind));
    }
}

/// Takes cosign's mark off a line; other annotations stay.
fn unmark(line: &mut Value) {
    let marked = line["annotations"][KIND].as_str().is_some_and(|kind| kind.starts_with(PREFIX));
    let annotations = line.get_mut("annotations").and_then(Value::as_object_mut);
    if let Some(annotations) = annotations.filter(|_| marked) {
        annotations.remove(KIND);
    }
}

const KIND: &str = "kind";
const PREFIX: &str = "dev.cosignproject.cosign/";
const IMAGE: &str = "dev.cosignproject.cosign/image";
const IMAGE_INDEX: &str = "dev.cosignproject.cosign/imageIndex";
const SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
const ATTESTATIONS: &str = "dev.cosignproject.cosign/atts";

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const B: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn line(digest: &str, name: &str) -> Value {
        json!({
            "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 2,
            "annotations": { REF_NAME: name },
        })
    }

    fn kinds(lines: &[Value]) -> Vec<(&str, Option<&str>)> {
        let pair = |line| {
            let line: &Value = line;
            let annotations = &line["annotations"];
            (annotations[REF_NAME].as_str().unwrap_or("-"), annotations[KIND].as_str())
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn the_image_comes_first_and_its_signatures_are_marked() {
        let (sig, fallback) = (format!("{}.sig", A.replace(':', "-")), A.replace(':', "-"));
        let mut lines = vec![line(B, &sig), line(B, &fallback), line(A, "demo")];
        arrange(&mut lines, &A.parse().expect("a digest"));
        let expected =
            [("demo", Some(IMAGE)), (sig.as_str(), Some(SIGNATURES)), (fallback.as_str(), None)];
        assert_eq!(kinds(&lines), expected);
    }

    #[test]
    fn only_the_image_signed_last_is_marked() {
        let tag = |digest: &str| format!("{}.sig", digest.replace(':', "-"));
        let mut lines = vec![line(A, "a"), line(A, &tag(A)), line(B, "b"), line(B, &tag(B))];
        arrange(&mut lines, &A.parse().expect("a digest"));
        arrange(&mut lines, &B.parse().expect("a digest"));
        let expected =
            [("a", None), ("b", Some(IMAGE)), (&tag(A), None), (&tag(B), Some(SIGNATURES))];
        assert_eq!(kinds(&lines), expected);
    }

    #[test]
    fn an_unsigned_image_and_odd_lines_are_left_alone() {
        let odd = json!({ "digest": A, "annotations": "none" });
        let mut lines = vec![line(B, "b"), odd.clone(), json!(7), json!({ "digest": B })];
        let before = lines.clone();
        arrange(&mut lines, &B.parse().expect("a digest"));
        assert_eq!(lines, before);
        lines.push(line(B, &format!("{}.sig", A.replace(':', "-"))));
        arrange(&mut lines, &A.parse().expect("a digest"));
        assert_eq!(lines[1], odd);
    }
}
