//! `docs/configuration.md`, made from the table. `UPDATE_EXPECT=1 cargo test -p halley` writes it anew.

use std::fmt::Write as _;

use expect_test::expect_file;

use super::table::{Kind, TABLE};

const HEAD: &str = "\
# Configuration

`halley serve` reads its settings from a TOML file (`--config FILE`, or `HALLEY_CONFIG`), from the environment and from
flags. A flag wins over the environment, the environment over the file, the file over the default. `halley dev` needs
none; what the environment says holds for its nodes too, except for what `dev` decides itself (demos, CORS, the longest
drain) and what tells one node from another: `HALLEY_NODE_NAME`, `HALLEY_ROLE`, `HALLEY_UPSTREAM`, `HALLEY_DATA_…`,
`HALLEY_BOOTSTRAP_…`, `HALLEY_LISTEN_…`, `HALLEY_ADVERTISE_…`, `HALLEY_TLS_…` and `HALLEY_DEMOS_NODES` are kept from its
nodes.

A key of the file that is no setting is an error that names the key, its line and the nearest known key; so is a
variable whose name begins with `HALLEY_`. The exceptions are `HALLEY_CONFIG`, `HALLEY_SERVER` (the gRPC address that
the other commands use), `HALLEY_CLIENT_TLS_AUTHORITY`, `…_CERTIFICATE`, `…_KEY` and `…_SERVER_NAME` (their TLS, as their
flags `--tls-authority` and so on), and what Kubernetes sets in every pod beside a service called `halley` or `halley-…`
(`HALLEY_SERVICE_HOST`, `HALLEY_SERVICE_PORT…`, `HALLEY_PORT=tcp://…`, `HALLEY_PORT_8080_TCP…`).

This page is made from the table that the program itself uses (`crates/halley/src/settings/table.rs`).
";

const FORMS: &str = "
## Values

| | file | environment and flags |
| --- | --- | --- |
| text | `\"…\"` | as it is |
| number | `65536`, `65_536` | `65536` |
| switch | `true`, `false` | `true`, `false`; a flag alone is `true` |
| list | `[\"a\", \"b\"]` | `a,b` |
| rules | `[[retention.rules]]` tables | `/chat/**?events_max=100&age_max_seconds=3600 /log/*?bytes_max=65536` |

## An example

```toml
role = \"replica\"
shards = 2

[node]
name = \"n1\"

[data]
directory = \"/var/lib/halley\"

[bootstrap]
members = [\"n1\", \"n2\", \"n3\"]
peers = [\"n1.example.org:7400\", \"n2.example.org:7400\", \"n3.example.org:7400\"]

[listen]
http = \"0.0.0.0:8080\"
grpc = \"127.0.0.1:9090\"
peer = \"0.0.0.0:7400\"

[advertise]
http = \"n1.example.org:8080\"
peer = \"n1.example.org:7400\"

[tls.peer]
certificate = \"/etc/halley/n1.pem\"
key = \"/etc/halley/n1.key\"
authority = \"/etc/halley/authority.pem\"

[retention]
events_max = 1000

[[retention.rules]]
channels = \"/chat/**\"
events_max = 100
age_max_seconds = 3600

[cors]
origins = [\"https://example.org\"]
```

## Forming a cluster

`bootstrap.members` names the founders, the same on each of them; the cluster begins once all of them have met and is
never begun again. The settings below `retention` and `shards` are taken from the founders then; later
`halley cluster set` changes retention, and a node whose file says otherwise only warns. A node that is not among the
members joins what it finds at `bootstrap.peers`. A cluster of one is a member alone: `members = [\"n1\"]` on `n1`.

A node is what its disk says: one with an empty `data.directory` is a new node, whatever its name.

## Listeners and TLS

A peer or grpc listener beyond loopback is refused without TLS unless `insecure` is set: whoever reaches such a listener
may publish and read everything, and through the peer listener take part in the cluster. TLS between nodes is mutual:
every node shows its certificate, and refuses whoever has none of `tls.peer.authority`. An edge needs `tls.peer` too, as a
client. Files are read at the start.

The commands that talk to a grpc listener with TLS (`publish`, `cluster status`, `check round-trip`, …) need
`--tls-authority FILE`, the authorities that sign its certificate; with `tls.grpc.client_authority` also
`--tls-certificate FILE` and `--tls-key FILE`; and `--tls-server-name NAME` where the certificate does not carry the host of
`--server`.
";

fn reference() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Settings\n");
    for setting in TABLE {
        let default = match (setting.kind, setting.default) {
            (_, "") => "none".into(),
            (Kind::Text | Kind::List | Kind::Rules, text) => format!("`\"{text}\"`"),
            (Kind::Integer | Kind::Switch, text) => format!("`{text}`"),
        };
        write!(
            page,
            "\n### `{}`\n\n{}.\n\nDefault {default} · environment `{}` · flag `--{} {}`\n",
            setting.key, setting.doc, setting.env, setting.flag, setting.value
        )
        .expect("writing to a string succeeds");
    }
    page.push_str(FORMS);
    page
}

#[test]
fn the_reference_is_up_to_date() {
    expect_file!["../../../../docs/configuration.md"].assert_eq(&reference());
}
