//! Where things lie, and what the manifests say.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::process;

/// The root of the repository.
pub struct Workspace {
    pub root: PathBuf,
}

impl Workspace {
    /// The folder above this crate as cargo names it, else the first folder upwards that holds `xtask/Cargo.toml`.
    pub fn find() -> Result<Self> {
        if let Some(manifest_dir) = std::env::var_os("CARGO_MANIFEST_DIR")
            && let Some(root) = Path::new(&manifest_dir).parent()
            && root.join("xtask/Cargo.toml").is_file()
        {
            return Ok(Self { root: root.to_path_buf() });
        }
        let here = std::env::current_dir().map_err(|error| format!("the current folder: {error}"))?;
        here.ancestors()
            .find(|folder| folder.join("xtask/Cargo.toml").is_file())
            .map(|root| Self { root: root.to_path_buf() })
            .ok_or_else(|| String::from("run it inside the repository"))
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Text of a file whose path is relative to the root.
    pub fn read(&self, relative: &str) -> Result<String> {
        fs::read_to_string(self.path(relative)).map_err(|error| format!("{relative}: {error}"))
    }

    /// Version of a crate in `Cargo.lock`; the first one where there are several.
    pub fn locked_version(&self, name: &str) -> Result<String> {
        locked_version(&self.read("Cargo.lock")?, name)
            .ok_or_else(|| format!("Cargo.lock does not name the crate {name}"))
    }

    /// Where cargo puts what it builds: the environment and the user's own cargo settings can move it.
    pub fn target_dir(&self) -> Result<PathBuf> {
        let mut command = self.cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata = process::output(&mut command)?;
        json_field(&metadata, "target_directory")
            .map(PathBuf::from)
            .ok_or_else(|| String::from("`cargo metadata` does not say where the target directory is"))
    }

    /// The cargo that started this program, in the root.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }
}

/// Finds `version` in the `[[package]]` block of a lock file whose `name` is given.
pub fn locked_version(lock: &str, name: &str) -> Option<String> {
    let name_line = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name_line);
    lines.next()?;
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"').map(String::from)
}

/// Value of `key = "value"` in the `[package]` table of a manifest.
pub fn package_field(manifest: &str, key: &str) -> Option<String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[package]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .and_then(|(_, value)| value.trim().strip_prefix('"')?.strip_suffix('"').map(String::from))
}

/// The first string value of a key in JSON text, wherever it stands.
pub fn json_field(json: &str, key: &str) -> Option<String> {
    let after_key = json.split_once(&format!("\"{key}\""))?.1;
    let mut chars = after_key.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

/// A fingerprint of files: their paths below `root` and their contents. A folder stands for all that is in it, except
/// the entries whose name is in `skip`; what is missing changes the fingerprint too.
///
/// It is compared between runs of this program only: a compiler whose hasher differs merely builds once more.
pub fn fingerprint(root: &Path, paths: &[&str], skip: &[&str]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        hash_path(root, &root.join(path), skip, &mut hasher)?;
    }
    Ok(hasher.finish())
}

fn hash_path(root: &Path, path: &Path, skip: &[&str], hasher: &mut DefaultHasher) -> Result<()> {
    let problem = |error: std::io::Error| format!("{}: {error}", path.display());
    path.strip_prefix(root).unwrap_or(path).hash(hasher);
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path).map_err(problem)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        for entry in entries {
            if !skip.iter().any(|name| entry.ends_with(name)) {
                hash_path(root, &entry, skip, hasher)?;
            }
        }
    } else if path.is_file() {
        fs::read(path).map_err(problem)?.hash(hasher);
    }
    Ok(())
}

/// All files below a folder whose extension is among `extensions`, sorted.
pub fn files_with(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A folder for the tests of this crate, gone when dropped.
#[cfg(test)]
pub struct Scratch(pub PathBuf);

#[cfg(test)]
impl Scratch {
    pub fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("unroll-xtask-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("temporary folders can be made");
            fs::write(path, text).expect("temporary files can be written");
        }
        Self(folder)
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_version_is_of_the_named_crate_and_not_of_a_longer_name() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\nsource = \"registry\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(locked_version(lock, "bindgen"), None);
    }

    #[test]
    fn package_field_reads_only_the_package_table() {
        let manifest = "[workspace]\nversion = \"9\"\n[package]\nname = \"unroll\"\nversion = \"0.1.0\"\n\
                        [dependencies]\nlicense = \"1\"\n";
        assert_eq!(package_field(manifest, "version").as_deref(), Some("0.1.0"));
        assert_eq!(package_field(manifest, "license"), None);
    }

    #[test]
    fn json_field_undoes_escapes() {
        let json = r#"{"packages":[],"target_directory": "C:\\unroll\\target","version":1}"#;
        assert_eq!(json_field(json, "target_directory").as_deref(), Some("C:\\unroll\\target"));
        assert_eq!(json_field(json, "workspace_root"), None);
    }

    #[test]
    fn fingerprint_follows_contents_names_and_skips() {
        let scratch = Scratch::new("fingerprint", &[("a/one.txt", "1"), ("a/node_modules/big.js", "x")]);
        let of = |skip: &[&str]| fingerprint(&scratch.0, &["a"], skip).expect("the folder can be read");
        let before = of(&["node_modules"]);
        assert_ne!(before, of(&[]));
        fs::write(scratch.0.join("a/node_modules/big.js"), "y").expect("writable");
        assert_eq!(before, of(&["node_modules"]));
        fs::write(scratch.0.join("a/one.txt"), "2").expect("writable");
        let changed = of(&["node_modules"]);
        assert_ne!(before, changed);
        fs::rename(scratch.0.join("a/one.txt"), scratch.0.join("a/two.txt")).expect("writable");
        assert_ne!(changed, of(&["node_modules"]));
    }

    #[test]
    fn files_with_goes_down_and_sorts() {
        let scratch = Scratch::new("files", &[("b/x.js", ""), ("a.mjs", ""), ("a.css", "")]);
        let found = files_with(&scratch.0, &["js", "mjs"]).expect("the folder can be read");
        assert_eq!(found, [scratch.0.join("a.mjs"), scratch.0.join("b/x.js")]);
    }
}
