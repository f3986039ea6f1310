//! The forms of a cluster's status: tables for people, one JSON object for programs.

use std::collections::BTreeMap;

use halley_client::{ClusterGroup, ClusterMember, ClusterProgress, ClusterStatus};
use serde::Serialize;

use crate::{output, verbs::form};

/// Keys are absent when what they would say is not known.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<u32>,
    answered_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature_level: Option<u32>,
    settings: BTreeMap<&'a str, &'a str>,
    members: Vec<Member<'a>>,
    groups: Vec<Group<'a>>,
    notices: &'a [String],
}

#[derive(Serialize)]
struct Member<'a> {
    name: &'a str,
    id: &'a str,
    standing: &'static str,
    incarnation: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    peer: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    grpc: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    http: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    heard: Option<bool>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<&'a str>,
    term: u64,
    committed: u64,
    progress: Vec<Progress<'a>>,
}

#[derive(Serialize)]
struct Progress<'a> {
    node: &'a str,
    index: u64,
    lag: u64,
}

/// One line of JSON.
pub(super) fn json(status: &ClusterStatus) -> String {
    let settings = status.settings.iter();
    form::json(&Status {
        cluster: status.cluster.as_deref(),
        shards: status.cluster.as_ref().map(|_| status.shards),
        answered_by: &status.answered_by,
        feature_level: (status.feature_level > 0).then_some(status.feature_level),
        settings: settings
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect(),
        members: status.members.iter().map(member).collect(),
        groups: status.groups.iter().map(group).collect(),
        notices: &status.notices,
    })
}

fn member(member: &ClusterMember) -> Member<'_> {
    Member {
        name: &member.name,
        id: &member.id,
        standing: member.standing.as_str(),
        incarnation: member.incarnation,
        peer: &member.peer,
        grpc: &member.grpc,
        http: &member.http,
        heard: member.heard,
    }
}

fn group(group: &ClusterGroup) -> Group<'_> {
    Group {
        name: &group.name,
        leader: group.leader.as_deref(),
        term: group.term,
        committed: group.committed,
        progress: group.progress.iter().map(progress).collect(),
    }
}

fn progress(progress: &ClusterProgress) -> Progress<'_> {
    Progress {
        node: &progress.node,
        index: progress.index,
        lag: progress.lag,
    }
}

/// A sentence and tables, with an empty line between them; what waits comes last, where it is seen.
pub(super) fn text(status: &ClusterStatus) -> String {
    let mut parts = vec![head(status)];
    if !status.members.is_empty() {
        let columns = [
            "node",
            "standing",
            "heard",
            "incarnation",
            "id",
            "peer",
            "grpc",
            "http",
        ];
        let rows: Vec<_> = status.members.iter().map(member_row).collect();
        parts.push(output::table(&columns, &rows));
    }
    if !status.groups.is_empty() {
        let columns = ["group", "leader", "term", "committed", "logs"];
        let rows: Vec<_> = status.groups.iter().map(group_row).collect();
        parts.push(output::table(&columns, &rows));
    }
    if !status.settings.is_empty() {
        let row = |(key, value): &(String, String)| vec![key.clone(), known(value)];
        let rows: Vec<_> = status.settings.iter().map(row).collect();
        parts.push(output::table(&["setting", "value"], &rows));
    }
    if !status.notices.is_empty() {
        parts.push(status.notices.join("\n"));
    }
    parts.join("\n\n")
}

fn head(status: &ClusterStatus) -> String {
    let by = &status.answered_by;
    let Some(cluster) = &status.cluster else {
        return format!("no cluster yet, as {by} sees it");
    };
    let shards = match status.shards {
        1 => "1 shard".to_owned(),
        count => format!("{count} shards"),
    };
    let level = match status.feature_level {
        0 => String::new(),
        level => format!(", feature level {level}"),
    };
    format!("cluster {cluster}, {shards}{level}, as {by} sees it")
}

fn member_row(member: &ClusterMember) -> Vec<String> {
    let heard = match member.heard {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    };
    vec![
        member.name.clone(),
        member.standing.as_str().to_owned(),
        heard.to_owned(),
        member.incarnation.to_string(),
        member.id.clone(),
        known(&member.peer),
        known(&member.grpc),
        known(&member.http),
    ]
}

fn group_row(group: &ClusterGroup) -> Vec<String> {
    let logs: Vec<_> = group.progress.iter().map(progress_text).collect();
    vec![
        group.name.clone(),
        group.leader.clone().unwrap_or_else(|| "none".to_owned()),
        group.term.to_string(),
        group.committed.to_string(),
        logs.join(", "),
    ]
}

fn progress_text(progress: &ClusterProgress) -> String {
    let ClusterProgress { node, index, lag } = progress;
    match lag {
        0 => format!("{node} {index}"),
        lag => format!("{node} {index} ({lag} behind)"),
    }
}

/// A hyphen where there is nothing.
fn known(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use halley_client::ClusterStanding;

    use super::*;

    fn node(number: u64, standing: ClusterStanding, heard: Option<bool>) -> ClusterMember {
        let listener = |port: u64| format!("10.0.0.{number}:{port}");
        ClusterMember {
            name: format!("n{number}"),
            id: format!("{:016x}", number * 0x1234_5678_9abc),
            standing,
            incarnation: number,
            peer: listener(7400),
            grpc: listener(9090),
            http: listener(8080),
            heard,
        }
    }

    fn raft(name: &str, leader: Option<&str>, lags: &[u64]) -> ClusterGroup {
        let progress = |(number, lag): (usize, &u64)| ClusterProgress {
            node: format!("n{}", number + 1),
            index: 120 - lag,
            lag: *lag,
        };
        ClusterGroup {
            name: name.to_owned(),
            leader: leader.map(str::to_owned),
            term: 4,
            committed: 120,
            progress: lags.iter().enumerate().map(progress).collect(),
        }
    }

    fn status() -> ClusterStatus {
        let setting = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let unknown = ClusterMember {
            grpc: String::new(),
            http: String::new(),
            ..node(4, ClusterStanding::Learner, None)
        };
        ClusterStatus {
            cluster: Some("3k9x1".to_owned()),
            shards: 2,
            answered_by: "n1".to_owned(),
            feature_level: 1,
            settings: vec![
                setting("retention.events_max", "1000"),
                setting("retention.rules", ""),
            ],
            members: vec![
                node(1, ClusterStanding::Voter, Some(true)),
                node(2, ClusterStanding::Voter, Some(false)),
                unknown,
            ],
            groups: vec![
                raft("meta", Some("n1"), &[0, 0]),
                raft("shard 0", Some("n1"), &[0, 12]),
                raft("shard 1", None, &[0]),
            ],
            notices: vec!["n4 waits: shard 1 has no leader".to_owned()],
        }
    }

    #[test]
    fn people_read_tables() {
        expect![[r#"
            cluster 3k9x1, 2 shards, feature level 1, as n1 sees it

            node  standing  heard  incarnation  id                peer           grpc           http
            n1    voter     yes    1            0000123456789abc  10.0.0.1:7400  10.0.0.1:9090  10.0.0.1:8080
            n2    voter     no     2            00002468acf13578  10.0.0.2:7400  10.0.0.2:9090  10.0.0.2:8080
            n4    learner   ?      4            000048d159e26af0  10.0.0.4:7400  -              -

            group    leader  term  committed  logs
            meta     n1      4     120        n1 120, n2 120
            shard 0  n1      4     120        n1 120, n2 108 (12 behind)
            shard 1  none    4     120        n1 120

            setting               value
            retention.events_max  1000
            retention.rules       -

            n4 waits: shard 1 has no leader"#]].assert_eq(&text(&status()));
    }

    #[test]
    fn programs_read_one_object() {
        expect![[r#"{"cluster":"3k9x1","shards":2,"answered_by":"n1","feature_level":1,"settings":{"retention.events_max":"1000","retention.rules":""},"members":[{"name":"n1","id":"0000123456789abc","standing":"voter","incarnation":1,"peer":"10.0.0.1:7400","grpc":"10.0.0.1:9090","http":"10.0.0.1:8080","heard":true},{"name":"n2","id":"00002468acf13578","standing":"voter","incarnation":2,"peer":"10.0.0.2:7400","grpc":"10.0.0.2:9090","http":"10.0.0.2:8080","heard":false},{"name":"n4","id":"000048d159e26af0","standing":"learner","incarnation":4,"peer":"10.0.0.4:7400"}],"groups":[{"name":"meta","leader":"n1","term":4,"committed":120,"progress":[{"node":"n1","index":120,"lag":0},{"node":"n2","index":120,"lag":0}]},{"name":"shard 0","leader":"n1","term":4,"committed":120,"progress":[{"node":"n1","index":120,"lag":0},{"node":"n2","index":108,"lag":12}]},{"name":"shard 1","term":4,"committed":120,"progress":[{"node":"n1","index":120,"lag":0}]}],"notices":["n4 waits: shard 1 has no leader"]}"#]].assert_eq(&json(&status()));
    }

    #[test]
    fn a_node_that_knows_of_no_cluster_says_so() {
        let status = ClusterStatus {
            answered_by: "e1".to_owned(),
            notices: vec!["e1 is an edge".to_owned()],
            ..ClusterStatus::default()
        };
        assert_eq!(
            text(&status),
            "no cluster yet, as e1 sees it\n\ne1 is an edge"
        );
        let expected = "{\"answered_by\":\"e1\",\"settings\":{},\"members\":[],\
                        \"groups\":[],\"notices\":[\"e1 is an edge\"]}";
        assert_eq!(json(&status), expected);
    }
}
