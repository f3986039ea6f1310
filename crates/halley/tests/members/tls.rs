//! Nodes know each other by their certificates: one of another authority is nobody.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::{
    book::Writers,
    cluster::{Cluster, Replica, calm},
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("signs itself")
}

/// Gives `node` a certificate of `authority` that names where it is; it trusts `trusted`.
fn certify(node: &mut Replica, authority: &Authority, trusted: &Authority, folder: &Path) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("signs");
    std::fs::create_dir_all(folder).expect("creates");
    let files = [
        ("certificate", certificate.pem()),
        ("key", key.serialize_pem()),
        ("authority", trusted.pem()),
    ];
    for (flag, pem) in files {
        let file = folder.join(format!("{}.{flag}.pem", node.name));
        std::fs::write(&file, pem).expect("writes");
        node.tell(&format!("tls-peer-{flag}"), &file.display().to_string());
    }
}

#[tokio::test]
async fn nodes_form_over_mutual_tls_and_refuse_another_authority() {
    let mut cluster = Cluster::planned(3, &[]);
    let (ours, theirs) = (authority(), authority());
    let folder = cluster.root.path().join("tls");
    for node in &mut cluster.nodes {
        certify(node, &ours, &ours, &folder);
    }
    cluster.nodes.iter_mut().for_each(Replica::start);
    cluster.ready().await;
    let writers = Writers::modest(&cluster.endpoints());
    writers.more(50).await;

    // A certificate of another authority; it trusts the right one, so it is the others that refuse.
    let before = cluster.nodes[2].arguments.clone();
    cluster.nodes[2].stop().await;
    certify(&mut cluster.nodes[2], &theirs, &ours, &folder.join("other"));
    cluster.nodes[2].start();
    writers.more(200).await;
    // A member that nobody talks to is not told the cluster, so it is never ready after its start.
    let (status, why) =
        crate::support::until("n3 answers", async || cluster.nodes[2].readiness().await).await;
    assert_eq!(status, 503, "{why}");
    let lagging = cluster.nodes[0].sees("how far n3 is", |status| {
        let groups = status.groups.iter();
        let mut progress = groups.flat_map(|group| &group.progress);
        progress
            .any(|node| node.node == "n3" && node.lag > 0)
            .then_some(())
    });
    lagging.await;
    cluster.nodes[2].kill();
    cluster.nodes[2].arguments = before;
    cluster.nodes[2].start();
    cluster.ready().await;
    cluster.nodes[0].sees("peace", calm).await;
    let book = writers.end().await;
    book.check(&cluster.nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_node_without_a_certificate_of_theirs_founds_nothing() {
    let mut cluster = Cluster::planned(3, &[]);
    let (ours, theirs) = (authority(), authority());
    let folder = cluster.root.path().join("tls");
    for node in &mut cluster.nodes[..2] {
        certify(node, &ours, &ours, &folder);
    }
    certify(&mut cluster.nodes[2], &theirs, &theirs, &folder);
    cluster.nodes.iter_mut().for_each(Replica::start);
    for node in &cluster.nodes[..2] {
        node.says("waiting for n3").await;
    }
    cluster.nodes[2].says("waiting for n1, n2").await;
    certify(&mut cluster.nodes[2], &ours, &ours, &folder);
    cluster.nodes[2].kill();
    cluster.nodes[2].start();
    cluster.ready().await;
}
