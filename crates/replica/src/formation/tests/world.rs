//! A world of nodes around the machine: their disks, their mail, and what goes wrong.
//!
//! Invariant, checked whenever a cluster begins: no two living disks ever begin different ones.

use std::{cmp::Reverse, collections::BinaryHeap, rc::Rc};

use halley_shard::Settings;

use super::super::*;

const STEP: Duration = Duration::from_millis(50);

pub(super) struct Random(pub(super) u64);

impl Random {
    /// splitmix64
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What survives a crash.
#[derive(Clone)]
pub(super) struct DiskState {
    pub(super) node: NodeId,
    pub(super) record: Option<FormationRecord>,
    /// The record with which this disk began, or took part in, a cluster.
    pub(super) begun: Option<FormationRecord>,
    /// The cluster in the identity file.
    pub(super) cluster: Option<ClusterId>,
}

pub(super) struct Node {
    pub(super) name: String,
    pub(super) bootstrap: Bootstrap,
    pub(super) disk: DiskState,
    pub(super) machine: Option<Formation>,
    /// A record on its way to the disk, and when it is there.
    writing: Option<(FormationRecord, Duration)>,
    /// Attends a group that has not begun on its disk.
    pub(super) attends: Option<FormationRecord>,
    /// When it is started again.
    pub(super) starts_at: Duration,
    /// The newest words for people.
    pub(super) said: Option<(Duration, String)>,
}

#[derive(Clone)]
enum Message {
    Question(Rc<Hello>),
    Answer(Rc<Greeting>),
}

/// What goes wrong until `faults_end`.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) loss: u64,
    pub(super) doubled: u64,
    pub(super) late: bool,
    pub(super) crash: u64,
    pub(super) wipe: u64,
    /// Crash once, at this action of the whole run.
    pub(super) crash_at: Option<u64>,
    /// And lose that disk.
    pub(super) wipe_then: bool,
}

pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    random: Random,
    pub(super) now: Duration,
    faults: Faults,
    faults_end: Duration,
    mail: BinaryHeap<(Reverse<Duration>, Reverse<u64>)>,
    letters: BTreeMap<u64, (usize, usize, Message)>,
    sent: u64,
    actions: u64,
    /// Every record that was ever on a disk.
    held: Vec<(NodeId, FormationRecord)>,
    pub(super) wiped: bool,
}

pub(super) fn names(count: usize) -> Vec<String> {
    (1..=count).map(|index| format!("n{index}")).collect()
}

pub(super) fn bootstrap(members: Vec<String>) -> Bootstrap {
    Bootstrap {
        members,
        shards: ShardCount::new(2).unwrap(),
        settings: Settings::default(),
    }
}

impl World {
    /// `count` listed nodes, and `extra` that list nobody.
    pub(super) fn new(
        seed: u64,
        count: usize,
        extra: usize,
        faults: Faults,
        faults_end: u64,
    ) -> Self {
        let mut random = Random(seed);
        let mut nodes = Vec::new();
        for name in names(count + extra) {
            let members = if nodes.len() < count {
                names(count)
            } else {
                Vec::new()
            };
            nodes.push(Node {
                name,
                bootstrap: bootstrap(members),
                disk: Self::empty(&mut random),
                machine: None,
                writing: None,
                attends: None,
                starts_at: Duration::from_millis(random.below(2_000)),
                said: None,
            });
        }
        Self {
            nodes,
            random,
            now: Duration::ZERO,
            faults,
            faults_end: Duration::from_secs(faults_end),
            mail: BinaryHeap::new(),
            letters: BTreeMap::new(),
            sent: 0,
            actions: 0,
            held: Vec::new(),
            wiped: false,
        }
    }

    fn empty(random: &mut Random) -> DiskState {
        DiskState {
            node: NodeId::new(random.next() | 1).unwrap(),
            record: None,
            begun: None,
            cluster: None,
        }
    }

    fn faulty(&self) -> bool {
        self.now < self.faults_end
    }

    fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    fn start(&mut self, at: usize) {
        let addresses = self.addresses();
        let draw = ClusterId::new(self.random.next());
        let node = &mut self.nodes[at];
        let own = Own {
            name: node.name.clone(),
            node: node.disk.node,
            cluster: node.disk.cluster,
            record: node.disk.record.clone(),
            has_data: node.disk.begun.is_some(),
            draw,
        };
        node.attends = None;
        node.writing = None;
        node.machine = Some(Formation::new(own, &node.bootstrap, &addresses, self.now));
    }

    pub(super) fn crash(&mut self, at: usize, wipe: bool) {
        // What was not synced may be there all the same.
        if let Some((record, _)) = self.nodes[at].writing.take()
            && self.random.percent(50)
        {
            self.hold(at, record);
        }
        if wipe {
            self.nodes[at].disk = Self::empty(&mut self.random);
            self.wiped = true;
        }
        let pause = 100 + self.random.below(4_000);
        let node = &mut self.nodes[at];
        node.machine = None;
        node.attends = None;
        node.starts_at = self.now + Duration::from_millis(pause);
    }

    /// What the message asks people to do: every holder of a record comes back as a new node.
    pub(super) fn reset(&mut self) {
        for at in 0..self.nodes.len() {
            let holds = self.nodes[at].disk.record.is_some();
            self.crash(at, holds);
        }
    }

    fn hold(&mut self, at: usize, record: FormationRecord) {
        let disk = &mut self.nodes[at].disk;
        assert_eq!(disk.record, None, "one record in the life of a disk");
        self.held.push((disk.node, record.clone()));
        disk.record = Some(record);
    }

    /// Ends a write, dying before or after the report.
    fn write(&mut self, at: usize) {
        let due = |(_, when): &mut (FormationRecord, Duration)| *when <= self.now;
        let Some((record, _)) = self.nodes[at].writing.take_if(due) else {
            return;
        };
        self.hold(at, record);
        if !self.dies(at) {
            let now = self.now;
            self.nodes[at].machine.as_mut().unwrap().stored(now);
        }
    }

    /// Whether the node dies just here.
    fn dies(&mut self, at: usize) -> bool {
        self.actions += 1;
        let planned = self.faults.crash_at == Some(self.actions);
        let by_chance = self.faulty() && self.random.percent(self.faults.crash);
        if !planned && !by_chance {
            return false;
        }
        let wipe = if planned {
            self.faults.wipe_then
        } else {
            self.random.percent(self.faults.wipe)
        };
        self.crash(at, wipe);
        true
    }

    fn send(&mut self, from: usize, to: usize, message: &Message) {
        let copies = match self.faulty() {
            true if self.random.percent(self.faults.loss) => 0,
            true if self.random.percent(self.faults.doubled) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let longest = match self.faulty() && self.faults.late {
                true if self.random.percent(5) => 9_000,
                true => 1_000,
                false => 60,
            };
            let delay = Duration::from_millis(self.random.below(longest));
            self.sent += 1;
            self.mail
                .push((Reverse(self.now + delay), Reverse(self.sent)));
            self.letters.insert(self.sent, (from, to, message.clone()));
        }
    }

    fn deliver(&mut self) {
        while let Some((Reverse(when), _)) = self.mail.peek()
            && *when <= self.now
        {
            let (_, Reverse(number)) = self.mail.pop().unwrap();
            let (from, to, message) = self.letters.remove(&number).unwrap();
            let (now, sender) = (self.now, self.nodes[from].name.clone());
            let Some(machine) = &mut self.nodes[to].machine else {
                continue;
            };
            match message {
                Message::Answer(greeting) => machine.heard(Some(&sender), &greeting, now),
                Message::Question(hello) => {
                    match &hello.offer {
                        Some(record) => drop(machine.offered(&hello.greeting, record, now)),
                        None => machine.heard(None, &hello.greeting, now),
                    }
                    self.run(to);
                    if let Some(machine) = &self.nodes[to].machine {
                        let answer = Message::Answer(Rc::new(machine.greeting()));
                        self.send(to, from, &answer);
                    }
                }
            }
        }
    }

    /// Polls a node and does what it asks, dying anywhere between.
    fn run(&mut self, at: usize) {
        let now = self.now;
        let Some(machine) = &mut self.nodes[at].machine else {
            return;
        };
        for action in machine.poll(now) {
            let fallible = !matches!(action, Action::Greet | Action::Say(_));
            if fallible && self.dies(at) {
                return;
            }
            self.act(at, action);
            if self.nodes[at].machine.is_none() || (fallible && self.dies(at)) {
                return;
            }
        }
    }

    fn question(&self, at: usize, offer: Option<FormationRecord>) -> Message {
        let greeting = self.nodes[at].machine.as_ref().unwrap().greeting();
        Message::Question(Rc::new(Hello { greeting, offer }))
    }

    fn act(&mut self, at: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Greet => {
                let question = self.question(at, None);
                for to in 0..self.nodes.len() {
                    self.send(at, to, &question);
                }
            }
            Action::Offer { to, record } => {
                let to = self.nodes.iter().position(|node| node.name == to).unwrap();
                let question = self.question(at, Some(record));
                self.send(at, to, &question);
            }
            Action::Store(record) => {
                let takes = Duration::from_millis(self.random.below(400));
                self.nodes[at].writing = Some((record, now + takes));
            }
            Action::Attend(record) => self.nodes[at].attends = Some(record),
            Action::Initialise(record) => {
                self.nodes[at].attends = None;
                self.begin(at, &record);
            }
            Action::Join(cluster) => {
                let node = &mut self.nodes[at];
                assert_eq!(node.disk.record, None, "only an empty disk joins");
                node.disk.cluster = Some(cluster);
                node.machine.as_mut().unwrap().settled(cluster);
            }
            Action::Say(text) => self.nodes[at].said = Some((now, text)),
            Action::Stop(text) => {
                self.nodes[at].said = Some((now, text));
                self.crash(at, false);
            }
        }
    }

    fn begin(&mut self, at: usize, record: &FormationRecord) {
        let node = &mut self.nodes[at];
        assert_eq!(
            node.disk.record.as_ref(),
            Some(record),
            "begins what it holds"
        );
        for (_, id) in &record.members {
            let held = (*id, record.clone());
            assert!(self.held.contains(&held), "{id} never held {record}");
        }
        node.disk.begun = Some(record.clone());
        if !self.dies(at) {
            let node = &mut self.nodes[at];
            node.disk.cluster = Some(record.cluster);
            node.machine.as_mut().unwrap().settled(record.cluster);
        }
        self.check();
    }

    /// Raft's part: who attends gets the log once a majority is there and one of it has begun.
    fn replicate(&mut self) {
        let begun: Vec<_> = self
            .nodes
            .iter()
            .filter(|node| node.machine.is_some())
            .filter_map(|node| node.disk.begun.clone())
            .collect();
        for record in begun {
            let takes_part = |node: &Node| {
                let there = record.names(&node.name, node.disk.node) && node.machine.is_some();
                there && (node.attends.is_some() || node.disk.begun.is_some())
            };
            let present: Vec<_> = (0..self.nodes.len())
                .filter(|at| takes_part(&self.nodes[*at]))
                .collect();
            if present.len() > record.members.len() / 2 {
                for at in present {
                    if self.nodes[at].attends.take().is_some() {
                        self.begin(at, &record);
                    }
                }
            }
        }
    }

    /// Nowhere two clusters.
    fn check(&self) {
        let mut begun: Vec<_> = self
            .nodes
            .iter()
            .filter_map(|node| node.disk.begun.as_ref())
            .collect();
        begun.dedup();
        assert!(begun.len() <= 1, "two clusters: {begun:?}");
    }

    pub(super) fn step(&mut self) {
        self.deliver();
        for at in 0..self.nodes.len() {
            if self.nodes[at].machine.is_none() && self.nodes[at].starts_at <= self.now {
                self.start(at);
            }
            self.write(at);
            // After a crash between the beginning and the identity file, the log says so.
            if let Some(record) = self.nodes[at].disk.begun.clone()
                && self.nodes[at].disk.cluster.is_none()
                && let Some(machine) = &mut self.nodes[at].machine
            {
                machine.settled(record.cluster);
                self.nodes[at].disk.cluster = Some(record.cluster);
            }
            self.run(at);
        }
        self.replicate();
        self.now += STEP;
    }

    pub(super) fn over(&self) -> bool {
        let settled = |node: &Node| {
            let there = node.machine.as_ref();
            there.is_some_and(|machine| machine.phase == Phase::Settled)
        };
        self.nodes.iter().all(settled)
    }

    /// Runs until all are settled, or long after the faults.
    pub(super) fn run_through(&mut self) {
        let end = self.faults_end.max(self.now) + Duration::from_secs(45);
        while self.now < end && (self.faulty() || !self.over()) {
            self.step();
        }
        self.check();
    }

    fn describe(&self) -> String {
        let lines = self.nodes.iter().map(|node| {
            format!(
                "{} {} record {:?} cluster {:?} said {:?}\n",
                node.name,
                node.disk.node,
                node.disk.record.as_ref().map(|record| record.cluster),
                node.disk.cluster,
                node.said
            )
        });
        lines.collect()
    }

    /// All belong to one cluster.
    pub(super) fn assert_formed(&self, seed: u64) {
        assert!(
            self.over(),
            "seed {seed} did not form:\n{}",
            self.describe()
        );
        let mut clusters: Vec<_> = self.nodes.iter().map(|node| node.disk.cluster).collect();
        clusters.dedup();
        assert_eq!(clusters.len(), 1, "seed {seed}:\n{}", self.describe());
    }

    /// It formed, or whoever waits has lately said for what.
    pub(super) fn assert_formed_or_told(&self, seed: u64) {
        if self.over() {
            return self.assert_formed(seed);
        }
        for node in &self.nodes {
            let settled = node.disk.cluster.is_some();
            let lately = |at: &Duration| *at + Duration::from_secs(16) >= self.now;
            let told = node
                .said
                .as_ref()
                .is_some_and(|(at, text)| lately(at) && text.len() > 20);
            assert!(
                settled || told,
                "seed {seed}: {} says nothing:\n{}",
                node.name,
                self.describe()
            );
        }
    }
}
