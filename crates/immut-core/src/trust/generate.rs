//! New keys, in cosign's format.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sigstore::crypto::signing_key::KeyPair as _;
use sigstore::crypto::signing_key::ecdsa::EllipticCurve;
use sigstore::crypto::signing_key::ecdsa::ec::EcdsaKeys;
use zeroize::Zeroizing;

use super::{Error, Password};

/// A new P-256 key pair as text: what `cosign generate-key-pair` makes.
///
/// ```
/// use immut_core::trust::{KeyPair, Password};
/// # let folder = tempfile::tempdir()?;
/// let pair = KeyPair::generate(&Password::new("correct horse"))?;
/// let (private, public) = pair.write(&folder.path().join("release"))?; // release.key, release.pub
/// assert!(private.ends_with("release.key") && public.ends_with("release.pub"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct KeyPair {
    private: Zeroizing<String>,
    public: String,
}

impl KeyPair {
    /// Makes a pair; the private key is encrypted with `password`.
    pub fn generate(password: &Password) -> Result<Self, Error> {
        let failed = |source: sigstore::errors::SigstoreError| Error::Crypto {
            action: "make a key pair",
            source: source.into(),
        };
        let keys = EcdsaKeys::new(EllipticCurve::P256).map_err(failed)?;
        let private = keys.private_key_to_encrypted_pem(password.bytes()).map_err(failed)?;
        let public = keys.public_key_to_pem().map_err(failed)?;
        // The library ends lines as Windows does; cosign's files do not.
        Ok(Self {
            private: Zeroizing::new(private.replace('\r', "")),
            public: public.replace('\r', ""),
        })
    }

    /// The encrypted private key as PEM (`ENCRYPTED SIGSTORE PRIVATE KEY`).
    pub fn private_pem(&self) -> &str {
        &self.private
    }

    /// The public key as PEM.
    pub fn public_pem(&self) -> &str {
        &self.public
    }

    /// Writes `PREFIX.key` (mode 0600) and `PREFIX.pub` (mode 0644) and returns their names.
    ///
    /// A file that is there is never touched: then nothing is written at all.
    pub fn write(&self, prefix: &Path) -> Result<(PathBuf, PathBuf), Error> {
        let private = suffixed(prefix, ".key");
        let public = suffixed(prefix, ".pub");
        create(&private, 0o600, &self.private)?;
        if let Err(error) = create(&public, 0o644, &self.public) {
            // Best effort: the first error is the one to tell.
            let _ = fs::remove_file(&private);
            return Err(error);
        }
        sync_folder(&private)
            .map_err(|source| Error::WriteKey { path: private.clone(), source })?;
        Ok((private, public))
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

fn suffixed(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(suffix);
    name.into()
}

/// Writes a new file; one that could not be finished is removed.
fn create(path: &Path, mode: u32, content: &str) -> Result<(), Error> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::KeyExists(path.to_owned()),
        _ => Error::WriteKey { path: path.to_owned(), source },
    })?;
    fill(file, mode, content).map_err(|source| {
        let _ = fs::remove_file(path);
        Error::WriteKey { path: path.to_owned(), source }
    })
}

fn fill(mut file: File, mode: u32, content: &str) -> io::Result<()> {
    file.write_all(content.as_bytes())?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// The names are durable too once their folder is.
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
