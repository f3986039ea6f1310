//! Whether a started node may vote: only a disk that no voter knows to be newer than it is.
//!
//! A disk that was brought back from a copy has forgotten votes and entries; a vote of it may undo what was
//! acknowledged. So a started node asks all voters for the highest incarnation and the newest log id that they
//! know of it. Invariant: it may vote only once a majority of voters, itself counted, and everybody who answered
//! within [`REACH`] know a lower incarnation and no log id beyond its own; one answer to the contrary
//! is final for this process.
//!
//! What a voter knows is its node table, the announcements in its unapplied log, and [`Memory`]: what it has
//! heard since its own start.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    identity::{Incarnation, NodeId},
    meta::Process,
};

/// Voters have this long to be reached, however many have answered.
pub(crate) const REACH: Duration = Duration::from_secs(5);
/// A voter that did not answer is asked again this often.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(250);

/// A Raft group's number within the store.
pub(crate) type Group = u16;

/// Where an entry stands: its leader's term, then its index. Of two log ends the greater one is newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogMark {
    /// Term of its leader.
    pub(crate) term: u64,
    /// Its index.
    pub(crate) index: u64,
}

/// What a voter knows of the node that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The highest incarnation that another process than the asking one has shown; `None`: of none.
    pub(crate) incarnation: Option<Incarnation>,
    /// The newest log end by group.
    pub(crate) last: BTreeMap<Group, LogMark>,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may vote, for the life of this process.
    MayVote,
    /// It may not, for the life of this process: the text says why, for people.
    OldDisk(String),
    /// It may not yet: the text says what is waited for, for people.
    Waiting(String),
}

/// The question and its answers.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    own: NodeId,
    incarnation: Incarnation,
    last: BTreeMap<Group, LogMark>,
    voters: BTreeSet<NodeId>,
    answered: BTreeSet<NodeId>,
    /// When a voter may be asked next.
    next: BTreeMap<NodeId, Duration>,
    old: Option<String>,
    started: Duration,
}

impl Admission {
    /// The question of `own` in its start `incarnation`, whose logs end at `last`; `voters` are those that its disk
    /// knows, of all groups together, itself among them if it is one.
    #[must_use]
    pub(crate) const fn new(
        own: NodeId,
        incarnation: Incarnation,
        last: BTreeMap<Group, LogMark>,
        voters: BTreeSet<NodeId>,
        now: Duration,
    ) -> Self {
        Self {
            own,
            incarnation,
            last,
            voters,
            answered: BTreeSet::new(),
            next: BTreeMap::new(),
            old: None,
            started: now,
        }
    }

    /// Whom to ask now; each is asked again when it failed or stays silent.
    pub(crate) fn ask(&mut self, now: Duration) -> Vec<NodeId> {
        if !matches!(self.verdict(now), Verdict::Waiting(_)) {
            return Vec::new();
        }
        let due = |node: &NodeId| self.next.get(node).is_none_or(|next| *next <= now);
        let asked: Vec<_> = self.missing().filter(|node| due(node)).collect();
        for node in &asked {
            self.next.insert(*node, now + REACH);
        }
        asked
    }

    /// `from` does not answer.
    pub(crate) fn failed(&mut self, from: NodeId, now: Duration) {
        self.next.insert(from, now + ASK_EVERY);
    }

    /// `from` answers.
    pub(crate) fn answered(&mut self, from: NodeId, known: &Known) {
        if !self.voters.contains(&from) {
            return;
        }
        self.answered.insert(from);
        if self.old.is_some() {
            return;
        }
        if let Some(incarnation) = known.incarnation
            && incarnation >= self.incarnation
        {
            self.old = Some(format!(
                "{from} knows start {incarnation} of this disk, and this is start {}",
                self.incarnation
            ));
            return;
        }
        let beyond = known
            .last
            .iter()
            .find(|(group, mark)| **mark > self.last.get(group).copied().unwrap_or_default());
        if let Some((group, mark)) = beyond {
            self.old = Some(format!(
                "{from} knows entry {} of term {} of this disk in group {group}, which is not on it",
                mark.index, mark.term
            ));
        }
    }

    /// How it stands at `now`.
    #[must_use]
    pub(crate) fn verdict(&self, now: Duration) -> Verdict {
        if let Some(why) = &self.old {
            return Verdict::OldDisk(format!(
                "an old copy of the disk: {why}; it takes entries and does not vote"
            ));
        }
        let missing: Vec<_> = self.missing().map(|node| node.to_string()).collect();
        if missing.is_empty() {
            return Verdict::MayVote;
        }
        let itself = usize::from(self.voters.contains(&self.own));
        let majority = self.voters.len() / 2 + 1;
        if self.answered.len() + itself >= majority && now >= self.started + REACH {
            return Verdict::MayVote;
        }
        Verdict::Waiting(format!(
            "asks the other voters whether this disk is the newest: no answer yet of {}",
            missing.join(", ")
        ))
    }

    fn missing(&self) -> impl Iterator<Item = NodeId> {
        let open = |node: &&NodeId| **node != self.own && !self.answered.contains(node);
        self.voters.iter().filter(open).copied()
    }
}

/// What was heard of one node.
#[derive(Clone, Debug, Default)]
struct Heard {
    newest: Option<(Incarnation, Process)>,
    /// The highest below it.
    before: Option<Incarnation>,
    /// By the process that showed it.
    last: BTreeMap<Process, BTreeMap<Group, LogMark>>,
}

/// Processes of one disk whose marks are kept apart; those of earlier ones are kept together.
const PROCESSES_MAX: usize = 4;
/// Under which the marks of earlier processes are kept: nobody asks as this one.
const EARLIER: Process = Process(0);

/// What this node has heard of others since its start. Of each node a few processes, of each one mark a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(BTreeMap<NodeId, Heard>);

impl Memory {
    /// `node` has shown a start: in a question, in an announcement (committed or not), in the node table.
    pub(crate) fn started(&mut self, node: NodeId, incarnation: Incarnation, process: Process) {
        let heard = self.0.entry(node).or_default();
        match heard.newest {
            Some((newest, known)) if known == process => {
                heard.newest = Some((newest.max(incarnation), process));
            }
            // An older disk, or a copy of the one that was heard first.
            Some((newest, _)) if newest >= incarnation => {}
            Some((newest, _)) => {
                heard.before = heard.before.max(Some(newest));
                heard.newest = Some((incarnation, process));
            }
            None => heard.newest = Some((incarnation, process)),
        }
    }

    /// `process` of `node` has an entry: it stood for election with it, or acknowledged it.
    pub(crate) fn logged(&mut self, node: NodeId, process: Process, group: Group, mark: LogMark) {
        let heard = self.0.entry(node).or_default();
        if !heard.last.contains_key(&process) && heard.last.len() >= PROCESSES_MAX {
            // Whichever is folded away still counts against every other one.
            let folded = heard.last.keys().copied().find(|known| *known != EARLIER);
            let folded = folded.and_then(|known| heard.last.remove(&known));
            for (group, mark) in folded.unwrap_or_default() {
                let marks = heard.last.entry(EARLIER).or_default();
                let last = marks.entry(group).or_default();
                *last = mark.max(*last);
            }
        }
        let marks = heard.last.entry(process).or_default();
        let last = marks.entry(group).or_default();
        *last = mark.max(*last);
    }

    /// The answer to `node`, and from now on its start is known too: of two processes that show the same start, the
    /// first that asks is believed.
    pub(crate) fn answer(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        process: Process,
    ) -> Known {
        self.started(node, incarnation, process);
        let heard = &self.0[&node];
        let newest = heard.newest.filter(|(_, known)| *known != process);
        Known {
            incarnation: newest.map_or(heard.before, |(newest, _)| Some(newest)),
            last: heard.last_but(process),
        }
    }
}

impl Heard {
    /// The newest marks that any process but `process` has shown: what that one has taken since its start is no
    /// sign of an older disk.
    fn last_but(&self, process: Process) -> BTreeMap<Group, LogMark> {
        let mut newest = BTreeMap::new();
        let others = self.last.iter().filter(|(known, _)| **known != process);
        for (group, mark) in others.flat_map(|(_, marks)| marks) {
            let last: &mut LogMark = newest.entry(*group).or_default();
            *last = (*mark).max(*last);
        }
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    fn at(term: u64, index: u64) -> LogMark {
        LogMark { term, index }
    }

    const NOW: Duration = Duration::from_secs(100);

    fn admission(voters: &[u64]) -> Admission {
        let last = [(0, at(3, 10)), (1, at(2, 5))].into();
        let voters = voters.iter().copied().map(node).collect();
        Admission::new(node(1), Incarnation::new(7), last, voters, NOW)
    }

    fn known(incarnation: u64, last: &[(Group, LogMark)]) -> Known {
        Known {
            incarnation: Some(Incarnation::new(incarnation)),
            last: last.iter().copied().collect(),
        }
    }

    #[test]
    fn a_lone_voter_may_vote_at_once() {
        let mut alone = admission(&[1]);
        assert_eq!(alone.ask(NOW), []);
        assert_eq!(alone.verdict(NOW), Verdict::MayVote);
        assert_eq!(admission(&[]).verdict(NOW), Verdict::MayVote);
    }

    #[test]
    fn all_answers_end_the_wait_and_a_majority_ends_it_after_five_seconds() {
        let mut asking = admission(&[1, 2, 3]);
        assert_eq!(asking.ask(NOW), [node(2), node(3)]);
        assert_eq!(asking.ask(NOW), [], "they are being asked");
        asking.answered(node(2), &known(6, &[(0, at(3, 10))]));
        assert!(matches!(asking.verdict(NOW), Verdict::Waiting(_)));
        let late = NOW + REACH;
        assert!(matches!(
            asking.verdict(late - Duration::from_millis(1)),
            Verdict::Waiting(_)
        ));
        assert_eq!(asking.verdict(late), Verdict::MayVote);
        asking.answered(node(3), &Known::default());
        assert_eq!(asking.verdict(NOW), Verdict::MayVote);
    }

    #[test]
    fn without_a_majority_it_waits_however_long() {
        let mut asking = admission(&[1, 2, 3]);
        asking.ask(NOW);
        asking.failed(node(2), NOW);
        assert_eq!(asking.ask(NOW), []);
        assert_eq!(asking.ask(NOW + ASK_EVERY), [node(2)]);
        let verdict = asking.verdict(NOW + 100 * REACH);
        let Verdict::Waiting(text) = verdict else {
            panic!("{verdict:?}")
        };
        assert!(
            text.contains("0000000000000002, 0000000000000003"),
            "{text}"
        );
        let mut learner = admission(&[2, 3, 4]);
        learner.answered(node(2), &Known::default());
        assert!(matches!(learner.verdict(NOW + REACH), Verdict::Waiting(_)));
        learner.answered(node(3), &Known::default());
        assert_eq!(learner.verdict(NOW + REACH), Verdict::MayVote);
    }

    #[test]
    fn one_newer_memory_makes_it_an_old_disk_for_good() {
        for newer in [
            known(7, &[]),
            known(9, &[]),
            known(1, &[(0, at(3, 11))]),
            known(1, &[(1, at(3, 1))]),
            known(1, &[(5, at(1, 1))]),
        ] {
            let mut asking = admission(&[1, 2, 3]);
            asking.answered(node(2), &newer);
            asking.answered(node(2), &Known::default());
            asking.answered(node(3), &Known::default());
            let verdict = asking.verdict(NOW + REACH);
            assert!(matches!(verdict, Verdict::OldDisk(_)), "{newer:?}");
            assert_eq!(asking.ask(NOW + REACH), []);
        }
        let mut asking = admission(&[1, 2, 3]);
        asking.answered(node(9), &known(9, &[]));
        assert!(
            matches!(asking.verdict(NOW), Verdict::Waiting(_)),
            "no voter"
        );
    }

    #[test]
    fn marks_of_many_processes_are_folded_and_not_forgotten() {
        let mut memory = Memory::default();
        for process in 1..=9 {
            memory.logged(node(1), Process(process), 0, at(1, process * 10));
        }
        let answer = memory.answer(node(1), Incarnation::new(9), Process(9));
        assert_eq!(answer.last, [(0, at(1, 80))].into());
        let answer = memory.answer(node(1), Incarnation::new(9), Process(77));
        assert_eq!(answer.last, [(0, at(1, 90))].into());
    }

    #[test]
    fn a_question_asked_again_is_answered_as_before() {
        let mut memory = Memory::default();
        let (first, copy) = (Process(1), Process(2));
        let seven = Incarnation::new(7);
        memory.started(node(1), Incarnation::new(6), Process(9));
        memory.logged(node(1), Process(9), 0, at(3, 10));
        memory.logged(node(1), Process(9), 0, at(2, 99));
        let answer = memory.answer(node(1), seven, first);
        assert_eq!(answer, known(6, &[(0, at(3, 10))]));
        // What this process has taken since its start says nothing of its disk.
        memory.logged(node(1), first, 0, at(4, 500));
        assert_eq!(memory.answer(node(1), seven, first), answer);
        // A copy of the disk, started as often: the second that asks is refused, and asks in vain again.
        for _ in 0..2 {
            let known = memory.answer(node(1), seven, copy);
            assert_eq!(known.incarnation, Some(seven));
        }
        let known = memory.answer(node(1), Incarnation::new(8), Process(3));
        assert_eq!(known.incarnation, Some(seven));
        assert_eq!(memory.answer(node(2), seven, first), Known::default());
    }

    #[test]
    fn the_process_believed_first_stays_believed() {
        let mut memory = Memory::default();
        let seven = Incarnation::new(7);
        memory.answer(node(1), seven, Process(1));
        memory.answer(node(1), seven, Process(2));
        let again = memory.answer(node(1), seven, Process(1));
        assert_eq!(again.incarnation, None);
    }
}
