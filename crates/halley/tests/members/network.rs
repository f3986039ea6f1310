//! A small network of its own for each test: every node in a namespace, a switch between them that can be told to
//! drop, and a way round it for the test.
//!
//! Invariant: nothing of the host's own network is touched, and all namespaces go with the value.

use std::{
    fs::File,
    net::IpAddr,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Which way frames of a node are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It hears nobody, and nobody hears it.
    Both,
    /// It hears the others, and nobody hears it.
    Mute,
    /// It hears nobody, and the others hear it.
    Deaf,
}

/// `count` nodes, a switch, and the namespace from which the test reaches every node whatever is cut.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: String,
    count: usize,
}

impl Network {
    /// Builds it.
    ///
    /// # Errors
    /// What is not possible here.
    pub(crate) fn new(count: usize) -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        if !rustix::process::geteuid().is_root() {
            return Err("network namespaces need root".into());
        }
        let prefix = format!("hly-{}-{number}", std::process::id());
        let network = Self { prefix, count };
        network.build()?;
        Ok(network)
    }

    fn build(&self) -> Result<(), String> {
        for namespace in self.namespaces() {
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
        }
        let (switch, test) = (self.switch(), self.test());
        ip(&format!("-n {switch} link add br0 type bridge"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for number in 1..=self.count {
            let node = self.node(number);
            for line in [
                format!("-n {switch} link add v{number} type veth peer name eth0 netns {node}"),
                format!("-n {switch} link set v{number} master br0 up"),
                format!("-n {node} link set eth0 address {}", hardware(number)),
                format!("-n {node} addr add {}/24 dev eth0", inside(number)),
                format!("-n {node} link set eth0 up"),
                format!("-n {test} link add t{number} type veth peer name test netns {node}"),
                format!("-n {test} addr add 10.78.{number}.1/24 dev t{number}"),
                format!("-n {test} link set t{number} up"),
                format!("-n {node} addr add {}/24 dev test", outside(number)),
                format!("-n {node} link set test up"),
            ] {
                ip(&line)?;
            }
            // Without these a cut of one direction would soon be one of both: an address could not be asked for.
            for other in (1..=self.count).filter(|other| *other != number) {
                let (address, hardware) = (inside(other), hardware(other));
                ip(&format!(
                    "-n {node} neigh add {address} lladdr {hardware} dev eth0 nud permanent"
                ))?;
            }
        }
        Ok(())
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }

    fn test(&self) -> String {
        format!("{}-t", self.prefix)
    }

    fn node(&self, number: usize) -> String {
        format!("{}-n{number}", self.prefix)
    }

    fn namespaces(&self) -> Vec<String> {
        let nodes = (1..=self.count).map(|number| self.node(number));
        [self.switch(), self.test()]
            .into_iter()
            .chain(nodes)
            .collect()
    }

    /// What is put in front of a command line so that it runs where node `number` does.
    pub(crate) fn wrapper(&self, number: usize) -> Vec<String> {
        let node = self.node(number);
        ["ip", "netns", "exec", &node].map(String::from).into()
    }

    /// Moves this thread, and whatever it starts from now on, to where every node is reached.
    pub(crate) fn enter(&self) {
        let namespace = File::open(format!("/run/netns/{}", self.test())).expect("it was made");
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind).expect("root may");
    }

    /// Cuts node `number` off.
    ///
    /// # Errors
    /// What is not possible here.
    pub(crate) fn cut(&self, number: usize, cut: Cut) -> Result<(), String> {
        let switch = self.switch();
        // What the node sends comes in at the switch, what it hears goes out of it.
        let hook = match cut {
            Cut::Both => return ip(&format!("-n {switch} link set v{number} down")),
            Cut::Mute => "ingress",
            Cut::Deaf => "egress",
        };
        ran("tc", &format!("-n {switch} qdisc add dev v{number} clsact"))?;
        // A program of one instruction: drop.
        let filter = format!("-n {switch} filter add dev v{number} {hook} bpf da bytecode");
        let mut arguments: Vec<&str> = filter.split(' ').collect();
        arguments.push("1,6 0 0 2,");
        run("tc", &arguments)
    }

    /// Heals what was cut of node `number`.
    pub(crate) fn heal(&self, number: usize, cut: Cut) {
        let switch = self.switch();
        let healed = match cut {
            Cut::Both => ip(&format!("-n {switch} link set v{number} up")),
            Cut::Mute | Cut::Deaf => {
                ran("tc", &format!("-n {switch} qdisc del dev v{number} clsact"))
            }
        };
        healed.expect("what was done can be undone");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in self.namespaces() {
            let _never_made = ip(&format!("netns del {namespace}"));
        }
    }
}

/// Where node `number` is for the other nodes.
pub(crate) fn inside(number: usize) -> IpAddr {
    address(77, 0, number)
}

/// Where it is for the test.
pub(crate) fn outside(number: usize) -> IpAddr {
    address(78, number, 2)
}

fn address(second: u8, third: usize, fourth: usize) -> IpAddr {
    let small = |number| u8::try_from(number).expect("few nodes");
    IpAddr::from([10, second, small(third), small(fourth)])
}

fn hardware(number: usize) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

fn ip(line: &str) -> Result<(), String> {
    ran("ip", line)
}

fn ran(program: &str, line: &str) -> Result<(), String> {
    run(program, &line.split(' ').collect::<Vec<_>>())
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program} does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{program} {}: {said}", arguments.join(" ")))
}
