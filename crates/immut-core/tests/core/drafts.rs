//! Destinations that are as they were until everything is there, and layouts whose files are links.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

use immut_core::Options;
use immut_core::image::{Descriptor, RawManifest, media_type};
use immut_core::name::{Digest, Location};
use immut_core::store::{
    Archive, ArchiveDraft, Draft, Error, Layout, Sink, Source, Spool, copy, read_small,
};
use immut_testkit::contents;
use immut_testkit::recipe::{Built, IndexRecipe, LayerRecipe, Recipe};
use serde_json::json;
use tempfile::TempDir;

fn image(folder: &TempDir, name: &str) -> (Layout, Built) {
    let place = folder.path().join(name);
    let app = Recipe::new()
        .layer(|l| l.file("/app", 0o755, contents::elf(&[name])))
        .entrypoint(&["/app"])
        .user("7");
    let built = app.name(name).write(&place);
    (Layout::open(&place).expect("a layout"), built)
}

fn copied(built: &Built, from: &Layout, to: &dyn Sink) -> RawManifest {
    copy(&built.digest.parse().expect("a digest"), from, to).expect("copied")
}

/// All files below a folder with their content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push((entry.path().display().to_string(), fs::read(entry.path()).expect("read")));
        }
    }
    all.sort();
    all
}

#[test]
fn a_new_layout_is_there_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    // Nothing yet, a folder further down, an empty folder.
    fs::create_dir(folder.path().join("empty")).expect("made");
    for name in ["new", "deep/er", "empty"] {
        let place = folder.path().join(name);
        let draft = Draft::new(&place).expect("a draft");
        let manifest = copied(&built, &from, &draft);
        draft.tag("v1", &manifest).expect("tagged");
        assert!(!place.join("oci-layout").exists());
        draft.finish().expect("finished");
        drop(draft);
        let layout = Layout::open(&place).expect("a layout");
        assert_eq!(layout.tagged("v1").expect("read"), Some(manifest), "{name}");
        let left = fs::read_dir(&place).expect("read").flatten().map(|entry| entry.file_name());
        assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with('.')), "{name}");
    }
}

/// A run that was killed leaves partial blobs in a stage; the next one that writes there removes them.
#[test]
fn a_stage_is_swept_when_nobody_else_writes_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = folder.path().join("stage");
    let partial = stage.join("blobs/sha256/.partial-x");
    let first = Layout::create(&stage).expect("a stage");
    fs::write(&partial, "half").expect("written");
    let second = Layout::create(&stage).expect("a stage");
    assert!(partial.exists(), "it may be the first one's");
    drop((first, second));
    // A program that another test starts holds copies of all locks for a moment.
    let mut swept = std::iter::repeat_with(|| {
        drop(Layout::create(&stage).expect("a stage"));
        std::thread::sleep(std::time::Duration::from_millis(20));
        !partial.exists()
    });
    assert!(swept.by_ref().take(200).any(|swept| swept));
}

#[test]
fn what_is_given_up_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    let (_, other) = image(&folder, "there");
    let archive = folder.path().join("archive.tar");
    let old = LayerRecipe::new().file("/old", 0o644, "old").into_tar();
    fs::write(&archive, old).expect("written");
    let before = files(folder.path());
    for place in ["new", "there"] {
        let draft = Draft::new(&folder.path().join(place)).expect("a draft");
        let manifest = copied(&built, &from, &draft);
        draft.tag("v1", &manifest).expect("tagged");
    }
    for place in [Location::OciArchive(archive.clone()), Location::DockerArchive(archive)] {
        let draft = ArchiveDraft::new(&place).expect("a draft");
        let manifest = copied(&built, &from, &draft);
        draft.tag("v1", &manifest).expect("tagged");
    }
    assert_eq!(files(folder.path()), before);
    assert_ne!(built.digest, other.digest);
}

#[test]
fn an_existing_layout_is_added_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    let (there, old) = image(&folder, "there");
    let draft = Draft::new(there.folder()).expect("a draft");
    let manifest = copied(&built, &from, &draft);
    draft.tag("v1", &manifest).expect("tagged");
    assert_eq!(draft.tagged("v1").expect("read"), Some(manifest.clone()));
    assert!(draft.tagged("there").expect("read").is_some());
    assert_eq!(there.tagged("v1").expect("read"), None);
    draft.finish().expect("finished");
    drop(draft);
    assert_eq!(there.tagged("v1").expect("read"), Some(manifest));
    for digest in [&old.digest, &built.digest] {
        let digest = digest.parse().expect("a digest");
        crate::common::plan(&digest, &there, &Options::default()).expect("whole");
    }
}

/// Two processes that write to the same new layout, or the same subject's referrers, lose nothing.
#[test]
fn two_drafts_of_one_layout_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (image(&folder, "a"), image(&folder, "b"));
    let place = folder.path().join("out");
    let drafts = [Draft::new(&place).expect("a draft"), Draft::new(&place).expect("a draft")];
    for (draft, (from, built)) in drafts.iter().zip([&first, &second]) {
        let manifest = copied(built, from, draft);
        draft.tag(&built.digest[7..12], &manifest).expect("tagged");
        copied(&first.1, &first.0, draft);
        let about = referrer(draft, &first.1.digest.parse().expect("a digest"), &built.digest);
        draft.put_manifest(&about).expect("written");
    }
    for draft in &drafts {
        draft.finish().expect("finished");
    }
    drop(drafts);
    let layout = Layout::open(&place).expect("a layout");
    for (_, built) in [&first, &second] {
        assert!(layout.tagged(&built.digest[7..12]).expect("read").is_some());
        let digest = built.digest.parse().expect("a digest");
        crate::common::plan(&digest, &layout, &Options::default()).expect("whole");
    }
    let subject = first.1.digest.parse().expect("a digest");
    assert_eq!(layout.referrers(&subject).expect("listed").len(), 2);
}

/// Many at once, into a new place and into a folder that is there: whoever ends well is listed.
#[test]
fn many_writers_of_one_layout_are_all_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let images: Vec<_> = ('a'..='h').map(|name| image(&folder, &name.to_string())).collect();
    for round in 0..10 {
        let place = folder.path().join(format!("out-{round}"));
        if round % 2 == 0 {
            fs::create_dir(&place).expect("made");
        }
        std::thread::scope(|scope| {
            for (from, built) in &images {
                scope.spawn(|| {
                    let draft = Draft::new(&place).expect("a draft");
                    let manifest = copied(built, from, &draft);
                    draft.tag(&built.digest[7..12], &manifest).expect("tagged");
                    draft.finish().expect("finished");
                });
            }
        });
        let layout = Layout::open(&place).expect("a layout");
        assert_eq!(layout.names().expect("listed").len(), images.len(), "round {round}");
        let names = fs::read_dir(&place).expect("read").flatten().map(|entry| entry.file_name());
        assert!(names.into_iter().all(|name| !name.to_string_lossy().starts_with('.')));
    }
}

fn referrer(to: &dyn Sink, subject: &Digest, text: &str) -> RawManifest {
    let empty = Descriptor::of(media_type::OCI_EMPTY, b"{}");
    to.put(&empty, &mut &b"{}"[..]).expect("written");
    let subject = to.manifest(subject).expect("there").descriptor();
    RawManifest::from_json(&json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "text/plain",
        "config": empty, "layers": [empty], "subject": subject, "annotations": { "text": text },
    }))
}

#[test]
fn an_archive_holds_what_was_put_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    let file = folder.path().join("file.tar");
    for place in [Location::OciArchive(file.clone()), Location::DockerArchive(file)] {
        let docker = matches!(place, Location::DockerArchive(_));
        let draft = ArchiveDraft::new(&place).expect("a draft");
        // A blob that breaks off leaves no trace.
        let broken = Descriptor::of("x", &[7; 5000]);
        assert!(draft.put(&broken, &mut &[7; 4000][..]).is_err());
        let manifest = copied(&built, &from, &draft);
        draft.tag("app:v1", &manifest).expect("tagged");
        if !docker {
            let about = referrer(&draft, &Digest::of(&manifest.bytes), "x");
            draft.put_manifest(&about).expect("written");
        }
        draft.finish().expect("finished");
        let archive = Archive::open(&place, &Spool::default()).expect("an archive");
        let found = archive.tagged("app:v1").expect("read").expect("there");
        assert_eq!(archive.known_as(&found), draft.known_as(&manifest));
        assert_eq!(
            archive.referrers(&Digest::of(&manifest.bytes)).expect("read").len(),
            usize::from(!docker)
        );
        let known = archive.known_as(&found);
        let planning = crate::common::plan(&known, &archive, &Options::default()).expect("whole");
        assert!(planning.platforms[0].plan.is_empty());
    }
}

#[test]
fn a_docker_archive_holds_images_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let app =
        Recipe::new().layer(|l| l.file("/app", 0o755, contents::program())).entrypoint(&["/app"]);
    let index = IndexRecipe::new().image(&app).write(&folder.path().join("index"));
    let from = Layout::open(&folder.path().join("index")).expect("a layout");
    let place = Location::DockerArchive(folder.path().join("file.tar"));
    let draft = ArchiveDraft::new(&place).expect("a draft");
    let error =
        copy(&index.digest.parse().expect("a digest"), &from, &draft).expect_err("an index");
    assert!(error.to_string().contains("--platform"), "{error}");
    for file in ["-", "index"] {
        let file = if file == "-" { file.into() } else { folder.path().join(file) };
        assert!(matches!(ArchiveDraft::new(&Location::OciArchive(file)), Err(Error::Unfit { .. })));
    }
    // What is replaced has to be an archive.
    let thesis = folder.path().join("thesis.txt");
    fs::write(&thesis, "years").expect("written");
    assert!(ArchiveDraft::new(&Location::OciArchive(thesis.clone())).is_err());
    assert_eq!(fs::read(&thesis).expect("there"), b"years");
}

/// A blob of the right size with other bytes is not taken for the right one, and is mended.
#[test]
fn what_is_broken_in_a_layout_is_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    let place = folder.path().join("out");
    for broken in [None, Some(0), Some(1), Some(2)] {
        if let Some(number) = broken {
            let (digest, bytes) = &built.blobs[number];
            let path = place.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
            fs::write(path, vec![0; bytes.len()]).expect("written");
        }
        let draft = Draft::new(&place).expect("a draft");
        let manifest = copied(&built, &from, &draft);
        draft.tag("v1", &manifest).expect("tagged");
        draft.finish().expect("finished");
        let there = Layout::open(&place).expect("a layout");
        let digest = built.digest.parse().expect("a digest");
        immut_core::audit(&digest, &there, &Options::default()).expect("whole");
    }
}

/// A link stays and leads to the new archive; what is no file is left alone.
#[test]
fn an_archive_replaces_files_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    let (real, link) = (folder.path().join("real.tar"), folder.path().join("link.tar"));
    fs::write(&real, "").expect("written");
    symlink("real.tar", &link).expect("linked");
    let draft = ArchiveDraft::new(&Location::OciArchive(link.clone())).expect("a draft");
    copied(&built, &from, &draft);
    draft.finish().expect("finished");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert!(fs::metadata(&real).expect("there").len() > 0);
    let device = folder.path().join("null");
    symlink("/dev/null", &device).expect("linked");
    assert!(ArchiveDraft::new(&Location::DockerArchive(device)).is_err());
}

/// Folders that only look like leftovers are not ours to remove.
#[test]
fn a_folder_with_a_name_like_a_draft_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    let like = folder.path().join(".immut-out-my_backup");
    fs::create_dir(&like).expect("made");
    let draft = Draft::new(&folder.path().join("out")).expect("a draft");
    copied(&built, &from, &draft);
    draft.finish().expect("finished");
    assert!(like.is_dir());
}

/// Signatures of cosign 2 have a name of their own, which podman must not see.
#[test]
fn names_of_signatures_are_beside_the_index_of_an_archive() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, built) = image(&folder, "a");
    let place = Location::OciArchive(folder.path().join("file.tar"));
    let draft = ArchiveDraft::new(&place).expect("a draft");
    let manifest = copied(&built, &from, &draft);
    draft.tag("v1", &manifest).expect("tagged");
    let name = format!("{}.sig", built.digest.replace(':', "-"));
    draft.tag(&name, &manifest).expect("tagged");
    draft.finish().expect("finished");
    let archive = Archive::open(&place, &Spool::default()).expect("an archive");
    assert_eq!(archive.tagged(&name).expect("read"), Some(manifest));
    assert_eq!(archive.images().expect("listed").len(), 1);
    let members =
        immut_testkit::model::read_tar(&fs::read(place.archive().expect("a file")).expect("read"));
    let index = members.iter().find(|member| member.path == "index.json").expect("an index");
    assert!(!format!("{:?}", index.item).contains("sha256-"), "{:?}", index.item);
}

#[test]
fn links_are_followed_inside_a_layout_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let (layout, built) = image(&folder, "a");
    let (blob, bytes) = built.blobs[0].clone();
    let path = built.blob_path(&blob);
    let descriptor = Descriptor::of("x", &bytes);
    assert_eq!(read_small(&layout, &descriptor).expect("a file"), bytes);
    let replaced = |target: &Path| {
        fs::remove_file(&path).expect("removed");
        symlink(target, &path).expect("linked");
        let mut read = Vec::new();
        layout.open(&descriptor).and_then(|mut reader| {
            reader
                .read_to_end(&mut read)
                .map_err(|source| Error::Read { what: String::new(), source })
        })
    };
    let (inside, outside) = (layout.folder().join("elsewhere"), folder.path().join("elsewhere"));
    for place in [&inside, &outside] {
        fs::write(place, &bytes).expect("written");
    }
    replaced(Path::new("../../elsewhere")).expect("inside");
    for target in [outside.as_path(), Path::new("../../../elsewhere"), Path::new("/etc/passwd")] {
        let error = replaced(target).expect_err("outside").to_string();
        assert!(error.contains("leads out of the layout"), "{error}");
    }
    // A device or a pipe would be waited for.
    symlink("/dev/zero", layout.folder().join("zero")).expect("linked");
    assert!(replaced(Path::new("../../zero")).is_err());
    let index = layout.folder().join("index.json");
    fs::rename(&index, folder.path().join("index.json")).expect("moved");
    symlink("../index.json", &index).expect("linked");
    assert!(layout.names().is_err());
}
