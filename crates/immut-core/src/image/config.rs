//! [`RuntimeConfig`]: user, start command and the rest of an image's config.

use serde_json::{Map, Value, json};

use super::shape::parse_json;
use super::{Error, Platform};
use crate::name::Digest;

/// An image's config document; fields that immut does not know are kept.
///
/// ```
/// use immut_core::image::RuntimeConfig;
/// let config = RuntimeConfig::parse(br#"{"os":"linux","architecture":"amd64",
///     "config":{"User":"redis","Cmd":["redis-server"]},"rootfs":{"type":"layers","diff_ids":[]}}"#)?;
/// assert_eq!(config.user(), "redis");
/// assert_eq!(config.cmd(), ["redis-server"]);
/// # Ok::<(), immut_core::image::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeConfig {
    json: Value,
}

/// A container's health check, as Docker keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `["CMD", ...]`: run as it stands.
    Exec(Vec<String>),
    /// `["CMD-SHELL", "..."]`: run by the image's shell.
    Shell(String),
    /// `["NONE"]` or none at all.
    None,
}

impl RuntimeConfig {
    /// Reads a config document.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let json = parse_json("the image config", bytes)?;
        let config = Self { json };
        config.check()?;
        Ok(config)
    }

    /// The document as bytes; equal documents give equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.json.to_string().into_bytes()
    }

    /// The user that the start command runs as; empty for root.
    pub fn user(&self) -> &str {
        self.json["config"]["User"].as_str().unwrap_or("")
    }

    /// The entrypoint; empty if there is none.
    pub fn entrypoint(&self) -> Vec<String> {
        strings(&self.json["config"]["Entrypoint"])
    }

    /// The default arguments; empty if there are none.
    pub fn cmd(&self) -> Vec<String> {
        strings(&self.json["config"]["Cmd"])
    }

    /// The shell of shell-form commands.
    pub fn shell(&self) -> Vec<String> {
        let shell = strings(&self.json["config"]["Shell"]);
        if shell.is_empty() { vec!["/bin/sh".into(), "-c".into()] } else { shell }
    }

    /// The health check.
    pub fn healthcheck(&self) -> Healthcheck {
        let test = strings(&self.json["config"]["Healthcheck"]["Test"]);
        match test.split_first() {
            Some((kind, rest)) if kind == "CMD" => Healthcheck::Exec(rest.to_vec()),
            Some((kind, rest)) if kind == "CMD-SHELL" => Healthcheck::Shell(rest.join(" ")),
            _ => Healthcheck::None,
        }
    }

    /// The value of an environment variable; the last assignment counts.
    pub fn env(&self, name: &str) -> Option<String> {
        let assignments = strings(&self.json["config"]["Env"]);
        let value = |one: &String| Some(one.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        assignments.iter().rev().find_map(value)
    }

    /// Sets an environment variable: its last assignment, or a new one at the end.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let mut assignments = strings(&self.json["config"]["Env"]);
        let assignment = format!("{name}={value}");
        let prefix = format!("{name}=");
        match assignments.iter_mut().rev().find(|one| one.starts_with(&prefix)) {
            Some(old) => *old = assignment,
            None => assignments.push(assignment),
        }
        self.set("Env", assignments.into());
    }

    /// The working directory; `/` if there is none.
    pub fn working_dir(&self) -> &str {
        match self.json["config"]["WorkingDir"].as_str() {
            Some("") | None => "/",
            Some(folder) => folder,
        }
    }

    /// The exposed ports below 1024, as they are written (`80/tcp`, `443`, `20-21/tcp`).
    pub fn low_ports(&self) -> Vec<&str> {
        let exposed = self.inner("ExposedPorts").and_then(Value::as_object);
        let low = |port: &&str| {
            let first = port.split(['/', '-']).next().unwrap_or("");
            first.parse::<u16>().is_ok_and(|number| (1..1024).contains(&number))
        };
        exposed.into_iter().flatten().map(|(port, _)| port.as_str()).filter(low).collect()
    }

    /// The platform that it is for.
    pub fn platform(&self) -> Platform {
        let text = |name: &str| self.json[name].as_str().unwrap_or("").to_owned();
        let variant = self.json["variant"].as_str().map(str::to_owned);
        Platform { os: text("os"), architecture: text("architecture"), variant }
    }

    /// The digests of the layers' uncompressed archives, lowest first.
    pub fn diff_ids(&self) -> Vec<Digest> {
        strings(&self.json["rootfs"]["diff_ids"]).iter().filter_map(|id| id.parse().ok()).collect()
    }

    /// The history, one entry for each build step; those that made no layer say `empty_layer`.
    pub fn history(&self) -> &[Value] {
        self.json["history"].as_array().map_or(&[], Vec::as_slice)
    }

    /// When the image was made, as the config has it (RFC 3339).
    pub fn created(&self) -> Option<&str> {
        self.json["created"].as_str()
    }

    /// Whether it says that the image listens on a port, of whatever protocol.
    pub fn exposes(&self, port: u16) -> bool {
        let ports = self.inner("ExposedPorts").and_then(Value::as_object);
        ports.is_some_and(|ports| ports.keys().any(|text| split_port(text).0 == port.to_string()))
    }

    /// Says that what listened on one port listens on another, in the same place of the list.
    pub fn move_port(&mut self, from: u16, to: u16) {
        let Some(ports) = self.inner("ExposedPorts").and_then(Value::as_object).cloned() else {
            return;
        };
        let moved = |(text, value): (String, Value)| match split_port(&text) {
            (port, protocol) if port == from.to_string() => (format!("{to}{protocol}"), value),
            _ => (text, value),
        };
        self.set("ExposedPorts", ports.into_iter().map(moved).collect());
    }

    /// A field of the inner `config` object.
    pub fn inner(&self, field: &str) -> Option<&Value> {
        self.json["config"].get(field)
    }

    /// Sets a field of the inner `config` object.
    pub fn set(&mut self, field: &str, value: Value) {
        let inner = self.top().entry("config").or_insert_with(|| json!({}));
        if inner.is_null() {
            *inner = json!({});
        }
        if let Some(object) = inner.as_object_mut() {
            object.insert(field.to_owned(), value);
        }
    }

    /// Takes a field of the inner `config` object out.
    pub fn unset(&mut self, field: &str) {
        if let Some(object) = self.json["config"].as_object_mut() {
            object.shift_remove(field);
        }
    }

    /// Sets layers' `diff_ids` and the history, which belong together.
    pub fn set_layers(&mut self, diff_ids: &[Digest], history: Vec<Value>) {
        let had_history = self.json.get("history").is_some_and(|history| !history.is_null());
        let top = self.top();
        let ids = diff_ids.iter().map(|id| Value::from(id.to_string())).collect::<Vec<_>>();
        top.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": ids }));
        if had_history || !history.is_empty() {
            top.insert("history".into(), Value::Array(history));
        }
    }

    /// Sets when the image was made (RFC 3339).
    pub fn set_created(&mut self, created: &str) {
        self.top().insert("created".into(), created.into());
    }

    fn top(&mut self) -> &mut Map<String, Value> {
        self.json.as_object_mut().expect("parse() accepts objects only")
    }

    fn check(&self) -> Result<(), Error> {
        let malformed = |reason: &str| {
            Err(Error::Malformed { what: "the image config", reason: reason.into() })
        };
        let inner = &self.json["config"];
        if !(inner.is_null() || inner.is_object()) {
            return malformed("its field config is no object");
        }
        let text = |value: &Value| value.is_null() || value.is_string();
        for name in ["os", "architecture", "variant"] {
            if !text(&self.json[name]) {
                return malformed(&format!("its field {name} is no string"));
            }
        }
        for name in ["User", "WorkingDir"] {
            if !text(&inner[name]) {
                return malformed(&format!("its field config.{name} is no string"));
            }
        }
        for name in ["Entrypoint", "Cmd", "Env", "Shell"] {
            let list = &inner[name];
            let fine = list.is_null()
                || list.as_array().is_some_and(|items| items.iter().all(Value::is_string));
            if !fine {
                return malformed(&format!("its field config.{name} is no list of strings"));
            }
        }
        let listed = self.json["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
        if listed != self.diff_ids().len() {
            return malformed("a diff_id is no sha256 digest");
        }
        Ok(())
    }
}

/// A port of `ExposedPorts`, and `/` with its protocol if that is said.
fn split_port(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(inner: &str) -> RuntimeConfig {
        RuntimeConfig::parse(format!(r#"{{"config":{inner},"unknown":1}}"#).as_bytes())
            .expect("config")
    }

    #[test]
    fn unknown_fields_survive_an_edit() {
        let mut edited = config(r#"{"Labels":{"a":"b"},"X":[1]}"#);
        edited.set("User", "65532".into());
        let text = String::from_utf8(edited.to_bytes()).expect("text");
        assert_eq!(text, r#"{"config":{"Labels":{"a":"b"},"X":[1],"User":"65532"},"unknown":1}"#);
    }

    #[test]
    fn health_checks_have_three_forms() {
        let test =
            |test: &str| config(&format!(r#"{{"Healthcheck":{{"Test":{test}}}}}"#)).healthcheck();
        assert_eq!(test(r#"["CMD","a","b"]"#), Healthcheck::Exec(vec!["a".into(), "b".into()]));
        assert_eq!(test(r#"["CMD-SHELL","a || b"]"#), Healthcheck::Shell("a || b".into()));
        assert_eq!(test(r#"["NONE"]"#), Healthcheck::None);
        assert_eq!(config("{}").healthcheck(), Healthcheck::None);
    }

    #[test]
    fn lists_that_are_no_lists_are_refused() {
        assert!(RuntimeConfig::parse(br#"{"config":{"Cmd":"sh"}}"#).is_err());
        assert!(RuntimeConfig::parse(br#"{"config":[]}"#).is_err());
        assert!(RuntimeConfig::parse(br#"{"config":{"User":1000}}"#).is_err());
        assert!(RuntimeConfig::parse(br#"{"os":["linux"]}"#).is_err());
        assert!(RuntimeConfig::parse(b"[]").is_err());
    }
}
