//! Manifests of something else than a container image.

use std::fmt;

use serde_json::Value;

use super::Descriptor;
use super::media::is_archive;
use super::media::media_type::{DOCKER_CONFIG, OCI_CONFIG, OCI_EMPTY};

/// What a manifest holds that is no container image; shown as a noun, such as
/// `a Helm chart (application/vnd.cncf.helm.config.v1+json)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    media_type: String,
}

impl Artifact {
    /// The media type that says what it is.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The artifact that a manifest is, if it is no image: by its `artifactType`, else by its config
    /// (OCI image specification 1.1, "Guidelines for Artifact Usage"), else by layers that only
    /// artifacts have, since cosign's older signatures come with the config of an image.
    pub(super) fn of(json: &Value, config: &Descriptor, layers: &[Descriptor]) -> Option<Self> {
        let artifact = |media_type: &str| Some(Self { media_type: media_type.to_owned() });
        let kind = json["artifactType"].as_str().filter(|kind| !kind.is_empty());
        let kind = kind.unwrap_or(&config.media_type);
        let contents = || layers.iter().map(|layer| layer.media_type.as_str());
        let known = contents().find(|media_type| name_of(media_type).is_some());
        let known = known.filter(|_| !contents().any(is_archive));
        match kind {
            OCI_CONFIG | DOCKER_CONFIG => known.and_then(artifact),
            OCI_EMPTY => artifact(known.unwrap_or(kind)),
            other => artifact(other),
        }
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name_of(&self.media_type) {
            Some(name) => write!(f, "{name} ({})", self.media_type.escape_debug()),
            None => write!(f, "an artifact of type {:?}", self.media_type),
        }
    }
}

fn name_of(media_type: &str) -> Option<&'static str> {
    NAMES.iter().find(|(start, _)| media_type.starts_with(start)).map(|(_, name)| *name)
}

/// What artifacts are called, by the start of their media type.
const NAMES: &[(&str, &str)] = &[
    ("application/spdx+json", "an SBOM"),
    ("application/vnd.amazon.soci.", "a SOCI index for lazy pulling"),
    ("application/vnd.cncf.flux.", "a Flux artifact"),
    ("application/vnd.cncf.helm.", "a Helm chart"),
    ("application/vnd.cncf.model.", "a machine learning model"),
    ("application/vnd.cncf.notary.", "a Notation signature"),
    ("application/vnd.cyclonedx", "an SBOM"),
    ("application/vnd.dev.cosign.simplesigning.", "a cosign signature"),
    ("application/vnd.dev.sigstore.bundle", "a Sigstore signature or attestation"),
    ("application/vnd.docker.ai.", "a machine learning model"),
    ("application/vnd.docker.attestation.", "an attestation"),
    ("application/vnd.docker.compose.", "a Compose project"),
    ("application/vnd.docker.plugin.", "a Docker plugin"),
    ("application/vnd.dsse.", "an attestation"),
    ("application/vnd.in-toto", "an attestation"),
    ("application/vnd.module.wasm.", "a WebAssembly module"),
    ("application/vnd.oci.empty.", "an artifact without a config"),
    ("application/vnd.ollama.", "a machine learning model"),
    ("application/vnd.syft", "an SBOM"),
    ("application/vnd.sylabs.sif.", "a Singularity image"),
    ("application/vnd.wasm.", "a WebAssembly module"),
    ("application/wasm", "a WebAssembly module"),
    ("text/spdx", "an SBOM"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_none_covers_another() {
        assert!(NAMES.is_sorted());
        for (start, _) in NAMES {
            let fits = NAMES.iter().filter(|(other, _)| start.starts_with(other));
            assert_eq!(fits.count(), 1, "{start}");
        }
    }
}
