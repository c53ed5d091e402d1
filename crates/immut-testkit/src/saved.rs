//! Images as `docker save` and others write them into one tar archive.

use serde_json::{Value, json};

use crate::recipe::{Built, LayerRecipe};

/// Who wrote the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// docker 1.10 to 24: a folder for each layer, with what docker before 1.10 wanted to find.
    /// A layer that was in an image before is a link to it.
    Folders,
    /// docker 25 and later: an OCI layout with a `manifest.json`.
    Layout,
    /// crane: config and compressed layers side by side.
    Flat,
}

/// All forms.
pub const FORMS: [Form; 3] = [Form::Folders, Form::Layout, Form::Flat];

/// An archive of images with their names.
pub fn save(form: Form, images: &[(&Built, &[&str])]) -> Vec<u8> {
    let mut archive = Saving { form, members: LayerRecipe::new(), layers: Vec::new() };
    let lines: Vec<Value> =
        images.iter().map(|(image, names)| archive.image(image, names)).collect();
    archive.finish(&lines, images)
}

struct Saving {
    form: Form,
    members: LayerRecipe,
    /// Layers that are in already: `diff_id` and path.
    layers: Vec<(String, String)>,
}

impl Saving {
    fn file(&mut self, path: &str, content: &[u8]) {
        self.members = std::mem::take(&mut self.members).file(path, 0o644, content);
    }

    fn image(&mut self, image: &Built, names: &[&str]) -> Value {
        let id = hex(&super::recipe::digest_of(&image.config));
        let config = match self.form {
            Form::Folders => format!("{id}.json"),
            Form::Layout => format!("blobs/sha256/{id}"),
            Form::Flat => format!("sha256:{id}"),
        };
        self.file(&config, &image.config);
        let layers: Vec<String> =
            (0..image.layers.len()).map(|number| self.layer(image, number)).collect();
        let names = if names.is_empty() { Value::Null } else { json!(names) };
        json!({ "Config": config, "RepoTags": names, "Layers": layers })
    }

    fn layer(&mut self, image: &Built, number: usize) -> String {
        let layer = &image.layers[number];
        let known = self.layers.iter().find(|(id, _)| *id == layer.diff_id).cloned();
        let id = hex(&layer.diff_id);
        let path = match self.form {
            // The id of the folder is not the layer's digest.
            Form::Folders => {
                let folder = hex(&super::recipe::digest_of(
                    format!("{id}{number}{}", self.layers.len()).as_bytes(),
                ));
                self.file(&format!("{folder}/VERSION"), b"1.0");
                self.file(&format!("{folder}/json"), br#"{"id":"x"}"#);
                format!("{folder}/layer.tar")
            }
            Form::Layout => format!("blobs/sha256/{id}"),
            Form::Flat => {
                let digest = layer.descriptor["digest"].as_str().unwrap();
                format!("{}.tar.gz", hex(digest))
            }
        };
        match (known, self.form) {
            (Some((_, target)), Form::Folders) => {
                let target = format!("../{target}");
                self.members = std::mem::take(&mut self.members).symlink(&path, target);
            }
            (Some(_), _) => {}
            (None, Form::Flat) => {
                let digest = layer.descriptor["digest"].as_str().unwrap();
                let blob = image.blobs.iter().find(|(own, _)| own == digest).unwrap();
                self.file(&path, &blob.1.clone());
            }
            (None, _) => self.file(&path, &layer.tar.clone()),
        }
        self.layers.push((layer.diff_id.clone(), path.clone()));
        path
    }

    fn finish(mut self, lines: &[Value], images: &[(&Built, &[&str])]) -> Vec<u8> {
        if self.form == Form::Folders {
            self.file("repositories", br#"{"app":{"v1":"x"}}"#);
        }
        if self.form == Form::Layout {
            self.layout(images);
        }
        let text = json!(lines).to_string();
        self.file("manifest.json", text.as_bytes());
        self.members.into_tar()
    }

    fn layout(&mut self, images: &[(&Built, &[&str])]) {
        let mut index = Vec::new();
        for (image, names) in images {
            let layers: Vec<Value> = image
                .layers
                .iter()
                .map(|layer| {
                    json!({
                        "mediaType": "application/vnd.oci.image.layer.v1.tar",
                        "digest": layer.diff_id, "size": layer.tar.len(),
                    })
                })
                .collect();
            let config = super::recipe::descriptor(
                "application/vnd.oci.image.config.v1+json",
                &image.config,
            );
            let manifest = json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": config, "layers": layers,
            })
            .to_string();
            let mut line = super::recipe::descriptor(
                "application/vnd.oci.image.manifest.v1+json",
                manifest.as_bytes(),
            );
            if let Some(name) = names.first() {
                let tag = name.rsplit(':').next().unwrap();
                line["annotations"] = json!({
                    "io.containerd.image.name": format!("docker.io/library/{name}"),
                    "org.opencontainers.image.ref.name": tag,
                });
            }
            let path = format!("blobs/sha256/{}", hex(line["digest"].as_str().unwrap()));
            self.file(&path, manifest.as_bytes());
            index.push(line);
        }
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index,
        });
        self.file("index.json", index.to_string().as_bytes());
        self.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    }
}

fn hex(digest: &str) -> String {
    digest.trim_start_matches("sha256:").to_owned()
}
