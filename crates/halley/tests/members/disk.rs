//! A disk that is full: proposals stop before the log fails, leadership moves, and the node comes back by itself.

use std::{path::PathBuf, process::Command};

use crate::{
    book::Writers,
    cluster::{Cluster, Replica, calm},
    skip,
    support::process::Scratch,
};

const MIB: u64 = 1024 * 1024;
/// A node takes no proposals below a tenth of this, and lets the ballast go below a quarter of that.
const SIZE: u64 = 400 * MIB;

/// A small file system of its own.
struct SmallDisk {
    root: Scratch,
    mounted: bool,
}

impl SmallDisk {
    /// # Errors
    /// What is not possible here.
    fn new() -> Result<Self, String> {
        let root = Scratch::new();
        std::fs::create_dir_all(root.path().join("mount")).expect("creates");
        let mut disk = Self {
            root,
            mounted: false,
        };
        let image = disk.root.path().join("image");
        let file = std::fs::File::create(&image).expect("creates");
        file.set_len(SIZE).expect("a sparse file");
        let image = image.display().to_string();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &image])?;
        let mount = disk.mount().display().to_string();
        run("mount", &["-o", "loop", &image, &mount])?;
        disk.mounted = true;
        Ok(disk)
    }

    fn mount(&self) -> PathBuf {
        self.root.path().join("mount")
    }

    fn free(&self) -> u64 {
        let output = Command::new("df")
            .args(["--output=avail", "-B1"])
            .arg(self.mount())
            .output()
            .expect("df runs");
        let text = String::from_utf8(output.stdout).expect("text");
        let number = text
            .lines()
            .nth(1)
            .and_then(|line| line.trim().parse().ok());
        number.expect("a number below its title")
    }

    fn filler(&self) -> PathBuf {
        self.mount().join("filler")
    }

    /// Fills it until about `left` bytes are free.
    fn fill(&self, left: u64) {
        let file = std::fs::File::create(self.filler()).expect("creates");
        let bytes = self.free().saturating_sub(left);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)
            .expect("there is so much");
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            let mount = self.mount().display().to_string();
            let _gone_with_the_machine = run("umount", &[&mount]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program} does not run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then_some(()).ok_or(said)
}

#[tokio::test]
async fn a_full_disk_stops_proposals_and_recovers_by_itself() {
    // It goes after the cluster, whose processes use it.
    let disk = match SmallDisk::new() {
        Ok(disk) => disk,
        Err(why) => return skip(&format!("no small disk: {why}")),
    };
    let mut cluster = Cluster::planned(3, &[]);
    let data = disk.mount().join("n1");
    cluster.nodes[0].tell("data-directory", &data.display().to_string());
    cluster.nodes[0].data = data;
    cluster.nodes.iter_mut().for_each(Replica::start);
    cluster.ready().await;
    let pid = cluster.nodes[0].pid();
    let writers = Writers::modest(&cluster.endpoints());
    // To below the threshold, and to the brim.
    for left in [30 * MIB, 4 * MIB] {
        writers.more(50).await;
        cluster.nodes[1]
            .sees("n1 leads something", |status| leads(status).then_some(()))
            .await;
        disk.fill(left);
        crate::support::until("n1 is not ready, and says why", async || {
            let (status, why) = cluster.nodes[0].readiness().await?;
            (status == 503 && why.contains("the disk is full")).then_some(())
        })
        .await;
        cluster.nodes[1]
            .sees("n1 leads nothing", |status| (!leads(status)).then_some(()))
            .await;
        writers.more(100).await;
        let status = cluster.nodes[1].sees("the cluster", |status| Some(status.clone()));
        assert!(!leads(&status.await), "n1 leads with a full disk");
        disk.empty();
        cluster.nodes[0].ready().await;
        assert_eq!(cluster.nodes[0].pid(), pid, "by itself");
        cluster.nodes[0].sees("peace", calm).await;
    }
    writers.more(50).await;
    let silence = writers.longest_silence();
    let book = writers.end().await;
    crate::report(&format!(
        "full disk: {} acknowledged, longest silence {} ms",
        book.len(),
        silence.as_millis()
    ));
    book.check(&cluster.nodes.iter().collect::<Vec<_>>()).await;
}

fn leads(status: &halley_client::ClusterStatus) -> bool {
    let mut groups = status.groups.iter();
    groups.any(|group| group.leader.as_deref() == Some("n1"))
}
