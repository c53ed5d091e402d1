//! OCI layouts on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{OCI_INDEX, REF_NAME};

/// Writes blobs, and a line into `index.json`; a line with the same name and digest is replaced.
pub(super) fn write(folder: &Path, blobs: &[(String, Vec<u8>)], line: Value) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    for (digest, content) in blobs {
        fs::write(blob_path(folder, digest), content).unwrap();
    }
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let path = folder.join("index.json");
    let mut index = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }),
    };
    let lines = index["manifests"].as_array_mut().unwrap();
    let name = |line: &Value| line["annotations"][REF_NAME].clone();
    lines.retain(|old| match name(&line) {
        Value::Null => old["digest"] != line["digest"] || !name(old).is_null(),
        named => name(old) != named,
    });
    lines.push(line);
    fs::write(&path, index.to_string()).unwrap();
}

pub(super) fn blob_path(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs").join(digest.replacen(':', "/", 1))
}
