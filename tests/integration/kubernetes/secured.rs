//! TLS to the API server, and the ways in which a user may prove who they are.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, date_time_ymd};

use super::{Scene, lost_with, pod_of, service};
use crate::support::cluster::{Cluster, Tls};
use crate::support::run;

async fn scene(tls: Tls, user: &str, authority: &str) -> Scene {
    let authority = format!("    certificate-authority-data: {}\n", BASE64_STANDARD.encode(authority));
    Scene::of(Cluster::start_with(tls).await, user, &authority)
}

/// Replaces the program that the kubeconfig takes its credentials from, by one that is never read by halves.
#[cfg(unix)]
fn plugin(scene: &Scene, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let unfinished = scene.folder.path().join("unfinished");
    fs::write(&unfinished, format!("#!/bin/sh\n{text}\n")).expect("a file");
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755)).expect("permissions");
    fs::rename(&unfinished, scene.folder.path().join("login")).expect("a name");
}

#[test]
fn a_client_certificate_and_the_authority_of_the_kubeconfig_are_used() {
    run(async {
        let (tls, service) = (Tls::new(true), service().await);
        let authority = tls.authority.clone();
        let (certificate, key) = (BASE64_STANDARD.encode(&tls.client.0), BASE64_STANDARD.encode(&tls.client.1));
        let user = format!("    client-certificate-data: {certificate}\n    client-key-data: {key}\n");
        let scene = scene(tls, &user, &authority).await;
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.open("k8s:///web-1").live().await;
    });
}

#[test]
fn a_server_of_another_authority_is_not_trusted() {
    run(async {
        let scene = scene(Tls::new(false), "    token: good\n", &Tls::new(false).authority).await;
        let mut reader = scene.open("k8s:///web-1");
        lost_with(&mut reader, &["The certificate of the Kubernetes API server", "`certificate-authority`"]).await;
    });
}

#[test]
fn what_is_wrong_with_the_certificate_of_the_server_is_told_apart() {
    run(async {
        for (name, change, parts) in [
            (
                "127.0.0.1",
                (|it| it.not_after = date_time_ymd(2020, 1, 1)) as fn(&mut CertificateParams),
                ["has expired", "renew it"],
            ),
            (
                "127.0.0.1",
                |it| it.not_before = date_time_ymd(2200, 1, 1),
                ["is not valid yet", "the clock of this machine"],
            ),
            ("elsewhere.example", |_| (), ["is for another name", "`tls-server-name`"]),
        ] {
            let tls = Tls::of_server(false, name, change);
            let authority = tls.authority.clone();
            let scene = scene(tls, "    token: good\n", &authority).await;
            let reason = lost_with(&mut scene.open("k8s:///web-1"), &parts).await;
            assert!(!reason.contains("certificate-authority"), "{reason}");
        }
    });
}

#[cfg(unix)]
#[test]
fn a_plugin_gives_the_token_and_what_it_says_is_told() {
    run(async {
        let (tls, service) = (Tls::new(false), service().await);
        let authority = tls.authority.clone();
        let user = "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: ./login\n      interactiveMode: IfAvailable\n      \
                    installHint: Install it from example.org.\n";
        let scene = scene(tls, user, &authority).await;
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.switch(|it| it.token = Some("issued".to_owned()));
        let mut reader = scene.open("k8s:///web-1");
        lost_with(&mut reader, &["login`, which cannot be run", "Install it from example.org."]).await;
        let write = |text: &str| plugin(&scene, text);
        write("echo 'session has ended' >&2; exit 3");
        lost_with(&mut reader, &["failed", "session has ended", "Log in with it first"]).await;
        write(
            "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"issued\"}}'",
        );
        reader.live().await;
    });
}

#[cfg(unix)]
#[test]
fn what_a_plugin_is_given_and_what_it_prints_is_in_no_error() {
    run(async {
        let (tls, service) = (Tls::new(false), service().await);
        let authority = tls.authority.clone();
        let user = "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: ./login\n      interactiveMode: Never\n      \
                    args: [--password, hunter2]\n      env: [{name: PASSWORD, value: hunter2}]\n";
        let scene = scene(tls, user, &authority).await;
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let write = |text: &str| plugin(&scene, text);
        // A token that has expired by the time it is used: the plugin runs again with every request.
        write(
            "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"hunter2\", \
             \"expirationTimestamp\": \"2020-01-01T00:00:00Z\"}}'",
        );
        let mut reader = scene.open("k8s:///web-1");
        reader.live().await;
        write("echo hunter2; exit 3");
        scene.cluster.break_forwards();
        let reason = reader.lost().await;
        assert!(reason.contains("credentials") && !reason.contains("hunter2"), "{reason}");
        write("echo hunter2");
        scene.cluster.break_forwards();
        let reason = reader.lost().await;
        assert!(!reason.contains("hunter2"), "{reason}");
    });
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_not_quoted() {
    run(async {
        let scene = Scene::new().await;
        let text = fs::read_to_string(scene.kubeconfig()).expect("a kubeconfig");
        let twice = text.replace("    token: good\n", "    token: hunter2\n    token: hunter2\n");
        assert_ne!(text, twice);
        fs::write(scene.kubeconfig(), twice).expect("a kubeconfig");
        let reason = lost_with(&mut scene.open("k8s:///web-1"), &["The kubeconfig cannot be used"]).await;
        assert!(!reason.contains("hunter2"), "{reason}");
    });
}
