use std::io::Read;

use super::*;

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries.map(|e| String::from_utf8_lossy(&e.unwrap().path_bytes()).into_owned()).collect()
}

#[test]
fn entries_read_back_as_they_were_written() {
    let tar = LayerRecipe::new()
        .owned(1000, 1001)
        .xattr("security.capability", b"\x01\0\0\x02")
        .file("/bin/sh", 0o4755, "content")
        .hardlink("/bin/ash", "/bin/sh")
        .symlink("/bin/bash", "sh")
        .device("/dev/null", 1, 3)
        .into_tar();
    let mut archive = tar::Archive::new(&tar[..]);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut file = entries.next().unwrap();
    let header = file.header();
    assert_eq!(
        (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
        (0o4755, 1000, 1001)
    );
    let record = file.pax_extensions().unwrap().unwrap().next().unwrap().unwrap();
    assert_eq!(record.key().unwrap(), "SCHILY.xattr.security.capability");
    assert_eq!(record.value_bytes(), b"\x01\0\0\x02");
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    let links: Vec<_> = entries
        .map(|entry| {
            entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned())
        })
        .collect();
    assert_eq!(links, [Some("bin/sh".into()), Some("sh".into()), None]);
}

#[test]
fn long_names_are_held_in_each_way() {
    let name = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    let longer = format!("{0}/{0}/{0}", "x".repeat(100));
    for way in [LongNames::Pax, LongNames::AlwaysPax, LongNames::Gnu, LongNames::Prefix] {
        let layer = LayerRecipe::new().long_names(way).file(&name, 0o644, "");
        let tar = layer.symlink(&longer, &longer).hardlink("short", &name).into_tar();
        assert_eq!(names(&tar), [name.as_str(), &longer, "short"], "{way:?}");
        let mut archive = tar::Archive::new(&tar[..]);
        let link = archive.entries().unwrap().nth(1).unwrap().unwrap();
        assert_eq!(link.link_name_bytes().unwrap(), longer.as_bytes(), "{way:?}");
    }
}

#[test]
fn names_are_spelled_in_each_way() {
    for (naming, expected) in [
        (Naming::Plain, ["./", "etc/", "etc/.wh.x", "etc/.wh..wh..opq"]),
        (Naming::DotSlash, ["./", "./etc/", "./etc/.wh.x", "./etc/.wh..wh..opq"]),
        (Naming::Absolute, ["/", "/etc/", "/etc/.wh.x", "/etc/.wh..wh..opq"]),
        (Naming::Verbatim, ["/", "/etc", "/etc/.wh.x", "/etc/.wh..wh..opq"]),
    ] {
        let layer = LayerRecipe::new().naming(naming).dir("/", 0o755).dir("/etc", 0o755);
        assert_eq!(names(&layer.whiteout("/etc/x").opaque("/etc").into_tar()), expected);
    }
}

#[test]
fn every_encoding_reads_back() {
    let tar = LayerRecipe::new().file("a", 0o644, vec![7; 10_000]).into_tar();
    for encoding in [Encoding::Gzip, Encoding::GzipMembers(3)] {
        let mut bytes = Vec::new();
        let blob = encoding.encode(&tar);
        flate2::read::MultiGzDecoder::new(&blob[..]).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, tar, "{encoding:?}");
    }
    for encoding in [Encoding::Zstd, Encoding::ZstdFrames(3)] {
        assert_eq!(zstd::decode_all(&encoding.encode(&tar)[..]).unwrap(), tar, "{encoding:?}");
    }
}

#[test]
fn equal_recipes_give_equal_digests() {
    let recipe = || Recipe::new().layer(|l| l.file("/a", 0o644, "a")).user("x").step("USER x");
    assert_eq!(recipe().build().digest, recipe().build().digest);
}

#[test]
fn each_fault_breaks_what_it_says() {
    let built = |fault| Recipe::new().layer(|l| l.file("/a", 0o644, "a")).fault(fault).build();
    let whole = Recipe::new().layer(|l| l.file("/a", 0o644, "a")).build();
    let (right, size) = (&whole.layers[0], whole.blobs[0].1.len());
    assert_ne!(built(Fault::DiffId).layers[0].diff_id, right.diff_id);
    assert_eq!(built(Fault::Missing).blobs.len(), 2);
    assert_eq!(built(Fault::Size).layers[0].descriptor["size"], size + 1);
    for fault in [Fault::Content, Fault::Truncated(20)] {
        let image = built(fault);
        assert_eq!(image.layers[0].descriptor, right.descriptor);
        assert_ne!(digest_of(&image.blobs[0].1), image.blobs[0].0);
    }
    for fault in [Fault::EncodedTruncated(20), Fault::Trailing(b"x".to_vec())] {
        let image = built(fault);
        assert_ne!(image.layers[0].descriptor, right.descriptor);
        assert_eq!(digest_of(&image.blobs[0].1), image.blobs[0].0);
    }
    let odd = built(Fault::MediaType("x/y".into()));
    assert_eq!(odd.layers[0].descriptor["mediaType"], "x/y");
}

#[test]
fn layouts_keep_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let first = Recipe::new().name("a").write(folder.path());
    Recipe::new().user("b").name("b").write(folder.path());
    let again = Recipe::new().user("c").name("a").write(folder.path());
    let index: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(index["manifests"][1]["digest"], again.digest);
    assert!(again.blob_path(&first.digest).is_file());
}
