//! The directory of a `halley dev`: one given by the user and kept, or one of its own that goes with it.
//!
//! Invariant: only a directory that this run made is ever removed, and nothing is written into one that another run has.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use halley_env::{Disk, DiskLock, Env};

use crate::exit::Failure;

/// Where the nodes of one cluster store things. Dropping a temporary one removes it.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    temporary: bool,
}

impl Root {
    /// The directory given, or one below the system's temporary directory that nobody has. Creates nothing yet.
    ///
    /// # Errors
    /// A sentence for people.
    pub(super) fn choose(given: Option<&Path>, env: &Env) -> Result<Self, String> {
        let Some(given) = given else {
            let name = format!("halley-dev-{:016x}", env.rng.next_u64());
            return Ok(Self {
                path: std::env::temp_dir().join(name),
                temporary: true,
            });
        };
        let path = std::path::absolute(given)
            .map_err(|error| format!("--data {}: {error}", given.display()))?;
        if path.to_str().is_none() {
            return Err(format!("--data {}: this is no text", given.display()));
        }
        Ok(Self::kept(path))
    }

    /// A directory that stays.
    pub(super) fn kept(path: PathBuf) -> Self {
        Self {
            path,
            temporary: false,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes with this run.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// Whether a cluster that was begun here had `replicas`.
    ///
    /// # Errors
    /// A sentence for people.
    pub(super) fn fits(&self, replicas: u16) -> Result<(), String> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("--data {}: {error}", self.path.display())),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let found = names.filter(|name| is_replica(name)).count();
        if found == 0 || found == usize::from(replicas) {
            return Ok(());
        }
        Err(format!(
            "--data {} holds a cluster of {found}: go on with --nodes {found}, or choose another directory",
            self.path.display()
        ))
    }

    /// Creates it, for this user only, and takes it for this run alone until the value is dropped.
    ///
    /// # Errors
    /// [`Failure::Usage`] when another run has it, else [`Failure::Internal`].
    pub(super) fn take(&self, disk: &dyn Disk) -> Result<Box<dyn DiskLock>, Failure> {
        let path = self.path.display();
        DirBuilder::new()
            .recursive(!self.temporary)
            .mode(0o700)
            .create(&self.path)
            .map_err(|error| Failure::Internal(format!("{path} cannot be created: {error}")))?;
        disk.lock(&self.path.join("lock")).map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                Failure::Usage(format!(
                    "--data {path} is in use by another `halley dev`: end that one, or choose another directory"
                ))
            } else {
                Failure::Internal(format!("{path} cannot be locked: {error}"))
            }
        })
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            crate::output::error_line(&format!(
                "{} cannot be removed: {error}",
                self.path.display()
            ));
        }
    }
}

/// Whether a plan calls a replica so.
fn is_replica(name: &str) -> bool {
    name.strip_prefix('n')
        .is_some_and(|number| number.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use halley_env::SystemDisk;

    use super::*;

    #[test]
    fn a_temporary_root_goes_and_a_given_one_stays() {
        let env = Env::system();
        let root = Root::choose(None, &env).expect("a name");
        let held = root.take(&SystemDisk).expect("creates");
        let path = root.path().to_owned();
        std::fs::write(path.join("x"), "").expect("writes");
        assert!(path.is_dir());
        drop((held, root));
        assert!(!path.exists());

        let given = Root::choose(Some(&path), &env).expect("a path");
        let held = given.take(&SystemDisk).expect("creates");
        let error = given.take(&SystemDisk).expect_err("is held");
        let said = error.to_string();
        assert!(
            matches!(error, Failure::Usage(_)) && said.contains(&path.display().to_string()),
            "{said}"
        );
        drop(held);
        drop(given.take(&SystemDisk).expect("finds it again"));
        drop(given);
        std::fs::remove_dir_all(&path).expect("was kept");
    }

    #[test]
    fn another_number_of_replicas_is_refused() {
        let root = Root::choose(None, &Env::system()).expect("a name");
        root.fits(3).expect("is not there yet");
        for name in ["n1", "n2", "n3", "tls", "notes"] {
            std::fs::create_dir_all(root.path().join(name)).expect("creates");
        }
        root.fits(3).expect("as before");
        let error = root.fits(5).expect_err("is refused");
        assert!(error.contains("--nodes 3"), "{error}");
    }
}
