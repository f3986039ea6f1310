//! A file system of our own: an image file, a loop device, a mount.
//!
//! Invariant: what this made it takes away again, also when a test panics, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes of the image; a sparse file.
const IMAGE_BYTES: u64 = 1024 * 1024 * 1024;

/// A mounted ext4.
#[derive(Debug)]
pub(crate) struct Rig {
    directory: PathBuf,
    mount: PathBuf,
    /// The loop device.
    device: Option<String>,
    mounted: bool,
    /// Whether processes in mount namespaces of their own see what is taken down.
    shared: bool,
}

/// Runs a program; what it printed, or why not.
fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new(program).args(arguments).output();
    let output = ran.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{program} {}: {}",
            arguments.join(" "),
            told.trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Rig {
    /// # Errors
    /// What this machine lacks.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let told = |error: std::io::Error| error.to_string();
        let name = format!("halley-power-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let mount = directory.join("mount");
        fs::create_dir_all(&mount).map_err(told)?;
        // From here on its drop clears up.
        let mut rig = Self {
            directory,
            mount,
            device: None,
            mounted: false,
            shared: false,
        };
        rig.share()?;
        let image = rig.directory.join("image");
        let file = fs::File::create(&image).map_err(told)?;
        file.set_len(IMAGE_BYTES).map_err(told)?;
        let image = image.display().to_string();
        run("mkfs.ext4", &["-q", "-F", &image])?;
        rig.device = Some(run("losetup", &["-f", "--show", &image])?);
        rig.put_up()?;
        Ok(rig)
    }

    /// Where it is mounted.
    pub(crate) fn mount(&self) -> &Path {
        &self.mount
    }

    /// Makes what is mounted below known to copies of this mount namespace, such as every `ip netns exec` makes: one that
    /// keeps a cut file system alive would have it mounted again as it is, without its power.
    fn share(&mut self) -> Result<(), String> {
        let directory = self.directory.display().to_string();
        run("mount", &["--bind", &directory, &directory])?;
        self.shared = true;
        run("mount", &["--make-shared", &directory]).map(drop)
    }

    fn put_up(&mut self) -> Result<(), String> {
        let device = self.device.as_deref().unwrap_or_default();
        let mount = self.mount.display().to_string();
        run("mount", &["-t", "ext4", device, &mount])?;
        self.mounted = true;
        Ok(())
    }

    /// Takes it down and up again: the journal is replayed, nothing else is remembered.
    ///
    /// # Errors
    /// What the machine says.
    pub(crate) fn remount(&mut self) -> Result<(), String> {
        run("umount", &[&self.mount.display().to_string()])?;
        self.mounted = false;
        self.put_up()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let mount = self.mount.display().to_string();
        if self.mounted && run("umount", &[&mount]).is_err() {
            // Somebody still has it open: it goes when they end.
            drop(run("umount", &["-l", &mount]));
        }
        if let Some(device) = &self.device {
            drop(run("losetup", &["-d", device]));
        }
        drop(fs::remove_file(self.directory.join("image")));
        drop(fs::remove_dir(&self.mount));
        if self.shared {
            drop(run("umount", &[&self.directory.display().to_string()]));
        }
        drop(fs::remove_dir(&self.directory));
    }
}
