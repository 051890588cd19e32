//! Topics are deleted, and access rights are removed.

use super::trial::{CAMERAS, Trial, four_cameras, the_man};
use everyframe_tests::cluster::Listener;
use everyframe_tests::{Feed, Topic, shipped_rules, wait_for};

const REFUSED: &str = "results are not taken";
const TAKEN: &str = "results are taken again";

/// Checks that the host logs once that its records are refused, and continues when they are accepted again.
fn refused_for_a_while(trial: &Trial, refuse: impl Fn(), end: impl Fn()) {
    let site = &trial.site;
    let mut host = site.host();
    refuse();
    let feed = Feed::start(site, 40, four_cameras(CAMERAS, the_man));
    host.wait_for_word(REFUSED);
    std::thread::sleep(trial.seconds(3, 30));
    assert_eq!(host.count_in_log(REFUSED), 1, "{}", host.err());
    end();
    host.wait_for_word(TAKEN);
    wait_for("results", || (site.count(Topic::Results) > 40).then_some(()));
    trial.account(feed.stop());
    assert!(host.is_running(), "{}", host.err());
}

#[test]
fn a_host_waits_for_a_deleted_topic_to_come_back() {
    let Some(trial) = Trial::on_a_cluster("topic missing") else { return };
    trial.once();
    refused_for_a_while(&trial, || trial.site.delete(Topic::Results), || trial.site.create(Topic::Results));
}

#[test]
fn a_host_waits_for_an_access_right_to_come_back() {
    let Some(trial) = Trial::on_a_cluster_of_ours("right withdrawn") else { return };
    trial.once();
    let (site, cluster) = (&trial.site, trial.cluster());
    let user = cluster.stranger();
    cluster.rights("allow", user, site.group());
    site.reach(&cluster.brokers_of(Listener::SaslSsl), &cluster.properties_of(user));
    site.configure("", &shipped_rules(""));
    let topic = site.name(Topic::Alerts);
    refused_for_a_while(
        &trial,
        || cluster.rights("forbid", user, &topic),
        || cluster.rights("forgive", user, &topic),
    );
}
