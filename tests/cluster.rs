//! Encrypted and with a password: who may come in works, and who may not is told why, without a secret in it. And what
//! the other tests on a cluster rely on: its nodes come back, and readers see what is committed.

use everyframe_tests::cluster::{Listener, NODES, other_ca, properties};
use everyframe_tests::{Cluster, Ended, Frame, Site, Topic, pictures, places};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::time::Duration;

/// A site whose commands go to this listener with these properties, and these rules.
fn site_by(cluster: &Cluster, listener: Listener, properties: &str) -> Site {
    let site = Site::on(cluster, 1);
    site.reach(&cluster.brokers_of(listener), properties);
    site.configure("", &everyframe_tests::shipped_rules(""));
    site
}

/// Everything that a user does, to the last frame's account.
fn works(site: &Site) {
    let man = pictures::man();
    let host = site.host();
    site.enrol("viktor", &[&man[0]]);
    let clip = places::cached("footage/single_face.mp4").display().to_string();
    site.everyframe(&["camera", "--id", "gate", &clip]).well();
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    assert_eq!((&audit["total"]["sent"], &audit["total"]["results"]), (&72.into(), &72.into()), "{audit}");
    assert!(site.everyframe(&["gallery", "list"]).well().contains("viktor"));
    let ended = host.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn all_of_it_works_encrypted_and_with_a_password() {
    let Some(cluster) = Cluster::ours("all_of_it_works_encrypted_and_with_a_password") else { return };
    let properties = cluster.properties_of(cluster.user());
    works(&site_by(cluster, Listener::SaslSsl, &properties));
}

#[test]
fn all_of_it_works_encrypted() {
    let Some(cluster) = Cluster::ours("all_of_it_works_encrypted") else { return };
    let properties =
        format!("\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"{}\"", cluster.ca().display());
    works(&site_by(cluster, Listener::Ssl, &properties));
}

/// The commands that meet the brokers in different ways: to make topics, to read, to send.
fn first_contacts(site: &Site) -> Vec<Ended> {
    // Not the agent: it goes on trying, and its frames wait in its spool.
    let commands: [&[&str]; 3] = [&["run"], &["audit"], &["watch"]];
    commands.into_iter().map(|words| site.everyframe(words)).collect()
}

fn assert_refused(ended: &Ended, why: &[&str]) {
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "it is said once: {}", ended.err);
    for why in why {
        assert!(ended.err.contains(why), "{why}: {}", ended.err);
    }
}

#[test]
fn a_wrong_password_is_refused_and_not_shown() {
    let Some(cluster) = Cluster::ours("a_wrong_password_is_refused_and_not_shown") else { return };
    let site = Site::on(cluster, 1);
    let password = site.file("password", b"hunter2-and-more\n");
    site.reach(&cluster.brokers_of(Listener::SaslSsl), &properties(cluster.user(), &password, &cluster.ca()));
    site.configure("", &everyframe_tests::shipped_rules(""));
    for ended in first_contacts(&site) {
        assert_refused(&ended, &["refuse this user or its password", "check sasl.username, sasl.password"]);
        assert!(!ended.err.contains("hunter2") && !ended.out.contains("hunter2"), "{}", ended.err);
    }
    // Not even for who asks for everything.
    let run = site.run(site.command(&["audit"]).arg("--config").arg(site.config()).env("RUST_LOG", "trace"));
    assert!(run.err.contains("refuse this user") && !run.err.contains("hunter2"), "{}", run.err);
}

#[test]
fn a_password_comes_from_the_environment() {
    let Some(cluster) = Cluster::ours("a_password_comes_from_the_environment") else { return };
    let properties = cluster.properties_of(cluster.user());
    let file = format!("{{ file = \"{}\" }}", cluster.password_file().display());
    let site =
        site_by(cluster, Listener::SaslSsl, &properties.replace(&file, "{ env = \"EVERYFRAME_TEST_WORD\" }"));
    site.create_frames_topic();
    let word = std::fs::read_to_string(cluster.password_file()).expect("the cluster has a password");
    let mut command = site.command(&["camera", "--id", "gate", "pictures"]);
    site.file("pictures/a.jpg", &pictures::grey(64, 64));
    command.arg("--config").arg(site.config()).env("EVERYFRAME_TEST_WORD", word.trim_end());
    assert_eq!(site.run(&mut command).well(), "gate: 1 frames read · 1 acknowledged\n");

    let ended = site.everyframe(&["audit"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    let said = "kafka.properties.sasl.password: the environment variable EVERYFRAME_TEST_WORD is not set";
    assert!(ended.err.contains(&format!("everyframe.toml:10: {said}")), "{}", ended.err);
}

#[test]
fn brokers_with_a_certificate_of_another_authority_are_not_trusted() {
    let Some(cluster) = Cluster::ours("brokers_with_a_certificate_of_another_authority_are_not_trusted")
    else {
        return;
    };
    let site = Site::on(cluster, 1);
    let ca = other_ca(site.folder());
    site.reach(
        &cluster.brokers_of(Listener::SaslSsl),
        &properties(cluster.user(), &cluster.password_file(), &ca),
    );
    site.configure("", &everyframe_tests::shipped_rules(""));
    for ended in first_contacts(&site) {
        assert_refused(&ended, &["no TLS connection to the brokers", "check ssl.ca.location"]);
    }
}

#[test]
fn a_certificate_that_is_not_there_is_named_with_its_line() {
    let Some(cluster) = Cluster::ours("a_certificate_that_is_not_there_is_named_with_its_line") else {
        return;
    };
    let site =
        site_by(cluster, Listener::Ssl, "\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"ca.pem\"");
    let said = "kafka.properties.ssl.ca.location: ";
    let ended = site.everyframe(&["audit"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains(&format!("everyframe.toml:7: {said}")), "{}", ended.err);
    assert!(ended.err.contains("ca.pem does not exist"), "{}", ended.err);

    // Beside the configuration it is found, wherever the command is called.
    site.file("ca.pem", &std::fs::read(cluster.ca()).expect("the cluster has a certificate"));
    site.file("pictures/a.jpg", &pictures::grey(64, 64));
    let pictures = site.folder().join("pictures").display().to_string();
    let mut camera = site.command(&["camera", "--id", "gate", &pictures]);
    site.run(camera.arg("--config").arg(site.config()).current_dir("/")).well();
}

#[test]
fn a_user_without_rights_is_told_what_it_may_not() {
    let Some(cluster) = Cluster::ours("a_user_without_rights_is_told_what_it_may_not") else { return };
    let properties = cluster.properties_of(cluster.stranger());
    let site = site_by(cluster, Listener::SaslSsl, &properties);
    for ended in first_contacts(&site) {
        assert_refused(&ended, &["not allowed by the brokers", "topic `test-", "by an ACL"]);
    }
}

#[test]
fn an_unencrypted_client_at_an_encrypted_port_is_told_where_to_look() {
    let Some(cluster) = Cluster::ours("an_unencrypted_client_at_an_encrypted_port_is_told_where_to_look")
    else {
        return;
    };
    let site = site_by(cluster, Listener::Ssl, "");
    let ended = site.everyframe(&["run"]);
    assert_refused(&ended, &["no broker answers", "security.protocol right?"]);
}

#[test]
fn a_reader_of_the_tests_sees_what_is_committed_and_all_of_it() {
    let site = Site::on(Cluster::shared(), 1);
    site.create_frames_topic();
    let name = site.name(Topic::Frames);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", site.address())
        .set("transactional.id", &name)
        .create()
        .expect("a producer");
    let patience = Duration::from_secs(60);
    producer.init_transactions(patience).expect("transactions");
    let mut committed = 0;
    for (count, commits) in [(3, true), (5, false), (1, true), (0, true), (2, true), (4, false)] {
        producer.begin_transaction().expect("a transaction");
        for _ in 0..count {
            let record = BaseRecord::<str, [u8]>::to(&name).key("gate").payload(b"a picture");
            producer.send(record).map_err(|(error, _)| error).expect("a record");
        }
        producer.flush(patience).expect("the records are there");
        assert_eq!(site.count(Topic::Frames), committed, "what is open or aborted is not seen");
        if commits {
            producer.commit_transaction(patience).expect("a commit");
            committed += count;
        } else {
            producer.abort_transaction(patience).expect("an end");
        }
        // The partition learns of a commit a moment after whoever committed.
        assert_eq!(site.wait_for_records(Topic::Frames, committed).len(), committed);
    }
}

#[test]
fn the_cluster_survives_each_of_its_nodes_and_they_come_back() {
    let Some(cluster) = Cluster::to_break("the_cluster_survives_each_of_its_nodes_and_they_come_back") else {
        return;
    };
    let site = Site::on(&cluster, 1);
    site.create_frames_topic();
    let name = site.name(Topic::Frames);
    let frame = [Frame::of("gate", b"a picture")];
    let leads = |after: i32| {
        everyframe_tests::wait_for("another leader", || {
            Some(cluster.leader(&name, 0)).filter(|leader| *leader != after)
        })
    };

    let killed = cluster.leader(&name, 0);
    let process = cluster.pid(killed);
    cluster.kill(killed);
    let stopped = leads(killed);
    site.send(&frame);
    cluster.restart(killed);
    cluster.wait_until_whole();
    assert_ne!(cluster.pid(killed), process);

    cluster.stop(stopped);
    let paused = leads(stopped);
    site.send(&frame);
    cluster.restart(stopped);
    cluster.wait_until_whole();

    cluster.pause(paused);
    leads(paused);
    site.send(&frame);
    cluster.resume(paused);
    cluster.wait_until_whole();
    // A new leader shows what is in sync a moment after it leads.
    assert_eq!(site.wait_for_records(Topic::Frames, 3).len(), 3);
    assert!(NODES.contains(&cluster.leader(&name, 0)));
}
