//! TLS and passwords: allowed users can work, others get a reason without secrets. Also what other tests on a cluster rely
//! on: killed nodes come back, and readers see committed records.

use everyframe_tests::cluster::{Listener, NODES, other_ca, properties};
use everyframe_tests::{Cluster, Ended, Frame, Site, Topic, WAIT_TIMEOUT, pictures, places};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// A site whose commands use this listener and these properties.
fn site_by(cluster: &Cluster, listener: Listener, properties: &str) -> Site {
    let site = Site::on(cluster, 1);
    site.reach(&cluster.brokers_of(listener), properties);
    site.configure("", &everyframe_tests::shipped_rules(""));
    site
}

/// Everything that a user does, until every frame is accounted for.
fn works(site: &Site) {
    let man = pictures::man();
    let host = site.host();
    site.enrol("viktor", &[&man[0]]);
    let clip = places::cached("footage/single_face.mp4").display().to_string();
    site.everyframe(&["camera", "--id", "gate", &clip]).expect_success();
    let (code, audit) = site.settled_audit();
    assert_eq!(code, Some(0), "{audit}");
    assert_eq!((&audit["total"]["sent"], &audit["total"]["results"]), (&72.into(), &72.into()), "{audit}");
    assert!(site.everyframe(&["gallery", "list"]).expect_success().contains("viktor"));
    let ended = host.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn everything_works_with_tls_and_a_password() {
    let Some(cluster) = Cluster::ours("everything_works_with_tls_and_a_password") else { return };
    let properties = cluster.properties_of(cluster.user());
    works(&site_by(&cluster, Listener::SaslSsl, &properties));
}

#[test]
fn everything_works_with_tls() {
    let Some(cluster) = Cluster::ours("everything_works_with_tls") else { return };
    let properties =
        format!("\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"{}\"", cluster.ca().display());
    works(&site_by(&cluster, Listener::Ssl, &properties));
}

/// Commands that use the brokers in different ways: they create topics, read, or send.
fn first_contacts(site: &Site) -> Vec<Ended> {
    // Not the agent: it keeps trying, and its frames wait in its spool.
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
    let site = Site::on(&cluster, 1);
    let password = site.file("password", b"hunter2-and-more\n");
    site.reach(&cluster.brokers_of(Listener::SaslSsl), &properties(cluster.user(), &password, &cluster.ca()));
    site.configure("", &everyframe_tests::shipped_rules(""));
    for ended in first_contacts(&site) {
        assert_refused(&ended, &["refuse this user or its password", "check sasl.username, sasl.password"]);
        assert!(!ended.err.contains("hunter2") && !ended.out.contains("hunter2"), "{}", ended.err);
    }
    // Not even with all log levels.
    let run = site.run(site.command(&["audit"]).arg("--config").arg(site.config()).env("RUST_LOG", "trace"));
    assert!(run.err.contains("refuse this user") && !run.err.contains("hunter2"), "{}", run.err);
}

#[test]
fn a_password_comes_from_the_environment() {
    let Some(cluster) = Cluster::ours("a_password_comes_from_the_environment") else { return };
    let properties = cluster.properties_of(cluster.user());
    let file = format!("{{ file = \"{}\" }}", cluster.password_file().display());
    let site = site_by(
        &cluster,
        Listener::SaslSsl,
        &properties.replace(&file, "{ env = \"EVERYFRAME_TEST_WORD\" }"),
    );
    site.create_frames_topic();
    let word = std::fs::read_to_string(cluster.password_file()).expect("the cluster has a password");
    let mut command = site.command(&["camera", "--id", "gate", "pictures"]);
    site.file("pictures/a.jpg", &pictures::grey(64, 64));
    command.arg("--config").arg(site.config()).env("EVERYFRAME_TEST_WORD", word.trim_end());
    assert_eq!(site.run(&mut command).expect_success(), "gate: 1 frames read · 1 acknowledged\n");

    let ended = site.everyframe(&["audit"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    let said = "kafka.properties.sasl.password: the environment variable EVERYFRAME_TEST_WORD is not set";
    assert!(ended.err.contains(&format!("everyframe.toml:10: {said}")), "{}", ended.err);
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let Some(cluster) = Cluster::ours("a_certificate_of_another_authority_is_refused") else {
        return;
    };
    let site = Site::on(&cluster, 1);
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
fn a_missing_certificate_is_named_with_its_line() {
    let Some(cluster) = Cluster::ours("a_missing_certificate_is_named_with_its_line") else {
        return;
    };
    let site =
        site_by(&cluster, Listener::Ssl, "\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = \"ca.pem\"");
    let said = "kafka.properties.ssl.ca.location: ";
    let ended = site.everyframe(&["audit"]);
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains(&format!("everyframe.toml:7: {said}")), "{}", ended.err);
    assert!(ended.err.contains("ca.pem does not exist"), "{}", ended.err);

    // The path is relative to the configuration file, so the working folder does not matter.
    site.file("ca.pem", &std::fs::read(cluster.ca()).expect("the cluster has a certificate"));
    site.file("pictures/a.jpg", &pictures::grey(64, 64));
    let pictures = site.folder().join("pictures").display().to_string();
    let mut camera = site.command(&["camera", "--id", "gate", &pictures]);
    site.run(camera.arg("--config").arg(site.config()).current_dir("/")).expect_success();
}

#[test]
fn a_missing_right_is_named() {
    let Some(cluster) = Cluster::ours("a_missing_right_is_named") else { return };
    let properties = cluster.properties_of(cluster.stranger());
    let site = site_by(&cluster, Listener::SaslSsl, &properties);
    for ended in first_contacts(&site) {
        assert_refused(&ended, &["not allowed by the brokers", "topic `test-", "by an ACL"]);
    }
}

#[test]
fn a_plain_client_at_a_tls_port_gets_advice() {
    let Some(cluster) = Cluster::ours("a_plain_client_at_a_tls_port_gets_advice") else {
        return;
    };
    let site = site_by(&cluster, Listener::Ssl, "");
    let ended = site.everyframe(&["run"]);
    assert_refused(&ended, &["no broker answers", "security.protocol right?"]);
}

#[test]
fn readers_of_the_tests_see_all_committed_records() {
    let cluster = Cluster::whole();
    let site = Site::on(&cluster, 1);
    site.create_frames_topic();
    let name = site.name(Topic::Frames);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", site.address())
        .set("transactional.id", &name)
        .create()
        .expect("a producer");
    producer.init_transactions(WAIT_TIMEOUT).expect("transactions");
    let mut committed = 0;
    for (count, commits) in [(3, true), (5, false), (1, true), (0, true), (2, true), (4, false)] {
        producer.begin_transaction().expect("a transaction");
        for _ in 0..count {
            let record = BaseRecord::<str, [u8]>::to(&name).key("gate").payload(b"a picture");
            producer.send(record).map_err(|(error, _)| error).expect("a record");
        }
        producer.flush(WAIT_TIMEOUT).expect("the records are there");
        assert_eq!(site.count(Topic::Frames), committed, "what is open or aborted is not seen");
        if commits {
            producer.commit_transaction(WAIT_TIMEOUT).expect("a commit");
            committed += count;
        } else {
            producer.abort_transaction(WAIT_TIMEOUT).expect("an end");
        }
        // The partition's followers learn of a commit a moment after the client.
        assert_eq!(site.wait_for_records(Topic::Frames, committed).len(), committed);
    }
}

#[test]
fn the_cluster_survives_the_loss_of_each_node() {
    let Some(cluster) = Cluster::to_break("the_cluster_survives_the_loss_of_each_node") else {
        return;
    };
    let site = Site::on(&cluster, 1);
    site.create_frames_topic();
    let name = site.name(Topic::Frames);
    let frame = [Frame::new("gate", b"a picture")];
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
    // A new leader reports the replicas in sync only after a moment.
    assert_eq!(site.wait_for_records(Topic::Frames, 3).len(), 3);
    assert!(NODES.contains(&cluster.leader(&name, 0)));
}
