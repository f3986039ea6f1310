//! Third-party clients for the tests: installed into `target/clients`, or named when they cannot be.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::{present, run};

/// Where the tests find them.
pub(crate) const FOLDER: &str = "target/clients";
const SOURCE: &str = "crates/halley/tests/clients";

/// Installs what is missing; gives what could not be had, each with its reason.
pub(crate) fn install() -> Vec<String> {
    let folder = PathBuf::from(FOLDER);
    let mut missing = Vec::new();
    if let Err(error) = std::fs::create_dir_all(&folder) {
        return vec![format!("{FOLDER}: {error}")];
    }
    for (what, install) in [
        ("curl", curl as fn(&Path) -> anyhow::Result<()>),
        ("Node packages", node),
        ("Python packages", python),
        ("Chromium", chromium),
    ] {
        if let Err(error) = install(&folder) {
            missing.push(format!("{what}: {error:#}"));
        }
    }
    missing
}

fn curl(_: &Path) -> anyhow::Result<()> {
    if present("curl") {
        Ok(())
    } else {
        debian("curl")
    }
}

fn node(folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        present("node") && present("npm"),
        "Node.js 20 or newer with npm is needed"
    );
    let stamp = folder.join("package-lock.json");
    let wanted = std::fs::read(Path::new(SOURCE).join("package-lock.json"))?;
    if std::fs::read(&stamp).is_ok_and(|there| there == wanted)
        && folder.join("node_modules").exists()
    {
        return Ok(());
    }
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(Path::new(SOURCE).join(file), folder.join(file))?;
    }
    let mut npm = Command::new("npm");
    run(npm
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder))
}

fn python(folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(present("python3"), "Python 3.9 or newer is needed");
    let target = folder.join("python");
    let requirements = Path::new(SOURCE).join("requirements.txt");
    let stamp = target.join("requirements.txt");
    let wanted = std::fs::read(&requirements)?;
    if std::fs::read(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--upgrade",
    ]);
    run(pip
        .arg("--target")
        .arg(&target)
        .arg("--requirement")
        .arg(&requirements))?;
    std::fs::write(stamp, wanted)?;
    Ok(())
}

fn chromium(_: &Path) -> anyhow::Result<()> {
    if present("chromium") {
        Ok(())
    } else {
        debian("chromium")
    }
}

/// Installs a Debian package where that is possible without asking anybody.
fn debian(package: &str) -> anyhow::Result<()> {
    let mut id = Command::new("id");
    let root = crate::run::output(id.arg("-u"))?.trim() == "0";
    anyhow::ensure!(
        root && present("apt-get"),
        "not installed; install the package `{package}` of your system"
    );
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--yes", "--no-install-recommends", package]))
}
