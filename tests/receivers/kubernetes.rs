//! The client of Kubernetes on `PyPI` at the API server that stands in for a real one in the tests: it gets what ours gets, so that the two are
//! not merely right about each other.

use std::env;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

use crate::cluster::{Cluster, PodSketch};
use crate::steps::{Outcome, is};

/// A port of the pod at which something answers, and one at which nothing listens.
const PORTS: (u16, u16) = (6669, 7777);

/// The test.
pub(crate) fn trials() -> Vec<Trial> {
    let name = "kubernetes::another_client_gets_from_the_stand_in_what_ours_gets";
    let test = || -> Outcome<()> { Runtime::new()?.block_on(gets_the_same()) };
    vec![Trial::test(name, move || test().map_err(Into::into))]
}

async fn gets_the_same() -> Outcome<()> {
    let (cluster, folder) = (Cluster::start().await, tempfile::tempdir()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut pod = PodSketch::running("web-1", "u1");
    pod.listening = [(PORTS.0, listener.local_addr()?)].into();
    cluster.set_pod(&pod);
    cluster.set_pod(&PodSketch::running("web-2", "u2"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    let kubeconfig = cluster.kubeconfig(folder.path(), "    token: good\n", "");
    let theirs = {
        let kubeconfig = kubeconfig.clone();
        spawn_blocking(move || asked_by_python(&kubeconfig.display().to_string())).await??
    };
    let ours = asked_by_us(Kubeconfig::read_from(kubeconfig)?).await?;
    is(
        theirs["listed"] == ours["listed"],
        &format!("both list the same pods: {} and {}", theirs["listed"], ours["listed"]),
    )?;
    is(theirs["listed"].as_array().is_some_and(|pods| pods.len() == 2), "both pods are listed")?;
    is(theirs["read"] == ours["listed"][0], &format!("one is read as it is listed: {}", theirs["read"]))?;
    is(theirs["allowed"] == json!({"shop": true, "elsewhere": false}), &format!("rights: {}", theirs["allowed"]))?;
    is(ours["answer"] != "", "something is answered")?;
    is(theirs["answer"] == ours["answer"], "the same bytes come through a port-forward")?;
    let refused = theirs["refused"].as_str().unwrap_or_default();
    is(refused.contains("connection refused"), &format!("a refused port: {}", theirs["refused"]))?;
    is(theirs["refused"] == ours["refused"], &format!("both hear the same of it: {}", ours["refused"]))
}

/// Answers a line with more than a frame has, in which there is every byte, then with the line, and closes.
async fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let bytes: Vec<u8> = (0..200_000_u32).map(|it| it.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    stream.write_all(&bytes).await?;
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await
}

fn asked_by_python(kubeconfig: &str) -> Result<Value, String> {
    let python = env::var_os("RECEIVERS_PYTHON").unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receivers/peer.py");
    let (port, refused) = (PORTS.0.to_string(), PORTS.1.to_string());
    let output = Command::new(&python).args([script, kubeconfig, "web-1", &port, &refused]).output();
    let output = output.map_err(|error| format!("{} cannot be run: {error}", python.display()))?;
    serde_json::from_slice(&output.stdout).map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the client gets that the tool is built on.
async fn asked_by_us(kubeconfig: Kubeconfig) -> Outcome<Value> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let pods: Api<Pod> = Api::namespaced(Client::try_from(config)?, "shop");
    let listed = pods.list(&ListParams::default().labels("app=web")).await?;
    let mut answer = Vec::new();
    let mut forwarder = pods.portforward("web-1", &[PORTS.0]).await?;
    let mut stream = forwarder.take_stream(PORTS.0).ok_or("a stream")?;
    stream.write_all(b"who are you\n").await?;
    stream.read_to_end(&mut answer).await?;
    let mut forwarder = pods.portforward("web-1", &[PORTS.1]).await?;
    let refused = forwarder.take_error(PORTS.1).ok_or("what is said of a port")?.await;
    Ok(json!({
        "listed": listed.items.iter().map(shown).collect::<Vec<_>>(),
        "answer": BASE64_STANDARD.encode(answer),
        "refused": refused,
    }))
}

fn shown(pod: &Pod) -> Value {
    let status = pod.status.as_ref();
    let containers = status.and_then(|it| it.container_statuses.as_ref());
    json!({
        "name": pod.metadata.name,
        "uid": pod.metadata.uid,
        "phase": status.and_then(|it| it.phase.as_ref()),
        "container": containers.and_then(|it| it.first()).and_then(|it| it.container_id.as_ref()),
    })
}
