//! Requests and answers of the stand-in.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::objects::Selection;
use super::{Shared, forward, lock};

/// The folder of everything that a test asks for.
const PODS: &str = "/api/v1/namespaces/shop/pods";

/// Where users ask what they may do.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<Arc<ServerConfig>>) {
    while let Ok((stream, _)) = listener.accept().await {
        // As Go does; without it small messages are held back.
        stream.set_nodelay(true).expect("a socket");
        let of_connection = shared.clone();
        let tls = tls.clone().map(TlsAcceptor::from);
        lock(&shared.connections).spawn(async move {
            let link = lock(&of_connection.switches).link;
            match (tls, link) {
                (None, None) => serve(stream, of_connection).await,
                (None, Some(link)) => serve(link.to(stream), of_connection).await,
                (Some(tls), _) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, of_connection).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(request, &shared).await) }
    });
    // A client may leave in the middle of anything.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let (path, query) = (request.uri().path().to_owned(), parameters(request.uri().query().unwrap_or_default()));
    lock(&shared.requests).push(request.uri().to_string());
    if !is_authenticated(request.headers(), shared) {
        return status(401, "Unauthorized", "Unauthorized");
    }
    lock(&shared.users).insert(impersonated(request.headers()));
    lock(&shared.asked).extend(asked(request.method(), &path, query.contains_key("watch")));
    if request.method() == Method::POST && path == REVIEWS {
        return review(request, shared).await;
    }
    if request.method() != Method::GET {
        return status(405, "MethodNotAllowed", "only GET is served, and reviews of access");
    }
    if path == "/version" {
        return json(200, &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"}));
    }
    let one = |query: &HashMap<String, Vec<String>>, key: &str| query.get(key).and_then(|all| all.first()).cloned();
    if path == PODS {
        let selection = Selection {
            name: one(&query, "fieldSelector").and_then(|it| it.strip_prefix("metadata.name=").map(str::to_owned)),
            labels: one(&query, "labelSelector").map(|it| labels(&it)).unwrap_or_default(),
        };
        if one(&query, "watch").is_some() {
            let version = one(&query, "resourceVersion").and_then(|it| it.parse().ok()).unwrap_or_default();
            return forbidden(shared, "watch", "pods", "").unwrap_or_else(|| watch(shared, version, selection));
        }
        return forbidden(shared, "list", "pods", "")
            .unwrap_or_else(|| json(200, &lock(&shared.objects).list(&selection)));
    }
    let pod = path.strip_prefix(PODS).and_then(|rest| rest.strip_prefix('/'));
    match pod.map(|pod| pod.split_once('/').unwrap_or((pod, ""))) {
        Some((name, "")) => forbidden(shared, "get", "pods", name).unwrap_or_else(|| {
            let objects = lock(&shared.objects);
            objects.pod(name).map_or_else(|| missing("pods", name), |(_, object)| json(200, object))
        }),
        Some((name, "portforward")) => {
            let name = name.to_owned();
            forward::answer(request, shared, &name, query.get("ports").map(Vec::as_slice).unwrap_or_default())
        }
        _ => {
            let mut parts = path.rsplit('/');
            let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let (name, resource) = if before == "shop" { ("", last) } else { (last, before) };
            let verb = if name.is_empty() { "list" } else { "get" };
            forbidden(shared, verb, resource, name).unwrap_or_else(|| {
                lock(&shared.objects)
                    .others
                    .get(&path)
                    .map_or_else(|| missing(resource, name), |object| json(200, object))
            })
        }
    }
}

/// The group, the resource and the verb of a request; nothing where every user may send it.
fn asked(method: &Method, path: &str, is_watch: bool) -> Option<(String, String, &'static str)> {
    if path == "/version" || path == REVIEWS {
        return None;
    }
    let (group, rest) = match path.strip_prefix("/apis/") {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("", path.strip_prefix("/api/").unwrap_or(path)),
    };
    // After the version and the namespace.
    let mut parts = rest.split('/').skip(3);
    let (resource, name) = (parts.next().unwrap_or_default(), parts.next());
    let resource = parts.next().map_or_else(|| resource.to_owned(), |part| format!("{resource}/{part}"));
    let verb = match name {
        _ if method != Method::GET => "create",
        Some(_) => "get",
        None if is_watch => "watch",
        None => "list",
    };
    Some((group.to_owned(), resource, verb))
}

/// The user that is meant, and its groups.
fn impersonated(headers: &HeaderMap) -> Vec<String> {
    let values = ["impersonate-user", "impersonate-group"].into_iter().flat_map(|name| headers.get_all(name));
    values.filter_map(|it| it.to_str().ok().map(str::to_owned)).collect()
}

fn is_authenticated(headers: &HeaderMap, shared: &Shared) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    lock(&shared.switches).token.as_ref().is_none_or(|token| given == Some(&format!("Bearer {token}")))
}

/// Says whether something is allowed, unless that is forbidden, too.
async fn review(request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    if let Some(refused) = forbidden(shared, "create", "selfsubjectaccessreviews", "") {
        return refused;
    }
    let body = axum::body::to_bytes(Body::new(request.into_body()), usize::MAX).await.expect("a body");
    let mut review: Value = serde_json::from_slice(&body).expect("JSON");
    let asked = &review["spec"]["resourceAttributes"];
    let word = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
    let part = if asked["subresource"].is_string() { format!("/{}", word("subresource")) } else { String::new() };
    let what = format!("{} {}{part}", word("verb"), word("resource"));
    let is_allowed = !lock(&shared.switches).forbidden.contains(what.as_str()) && word("namespace") == "shop";
    review["status"] = json!({"allowed": is_allowed});
    json(201, &review)
}

/// The refusal of something, if it is forbidden.
pub(super) fn forbidden(shared: &Shared, verb: &str, resource: &str, name: &str) -> Option<Response<Body>> {
    let is_forbidden = lock(&shared.switches).forbidden.contains(format!("{verb} {resource}").as_str());
    let group = match resource {
        "deployments" | "replicasets" => "apps",
        "rollouts" => "argoproj.io",
        _ => "",
    };
    let subject = if name.is_empty() {
        resource.to_owned()
    } else {
        format!("{} \"{name}\"", resource.split('/').next().unwrap_or_default())
    };
    is_forbidden.then(|| {
        let message = format!(
            "{subject} is forbidden: User \"me\" cannot {verb} resource \"{resource}\" in API group \"{group}\" in the namespace \"shop\""
        );
        status(403, "Forbidden", &message)
    })
}

fn missing(resource: &str, name: &str) -> Response<Body> {
    status(404, "NotFound", &format!("{resource} \"{name}\" not found"))
}

fn watch(shared: &Arc<Shared>, version: u64, selection: Selection) -> Response<Body> {
    if lock(&shared.switches).line_is_endless {
        let pieces = stream::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 64 * 1024]));
        return Response::new(Body::from_stream(pieces));
    }
    let versions = lock(&shared.objects).versions();
    let shared = shared.clone();
    let lines = stream::unfold((version, versions, false), move |(version, mut versions, is_over)| {
        let (shared, selection) = (shared.clone(), selection.clone());
        async move {
            if is_over {
                return None;
            }
            loop {
                let now = *versions.borrow_and_update();
                let events = lock(&shared.objects).since(version, &selection);
                let Some(events) = events else {
                    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                        "message": "too old resource version"});
                    let line = format!("{}\n", json!({"type": "ERROR", "object": gone}));
                    return Some((Ok::<_, Infallible>(line), (version, versions, true)));
                };
                if !events.is_empty() || version == 0 {
                    let lines = events.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
                    return Some((Ok(lines), (now, versions, false)));
                }
                versions.changed().await.ok()?;
            }
        }
    });
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from_stream(lines)).expect("a response")
}

/// A `Status` object, as the API server answers with what went wrong.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Response<Body> {
    let object = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code});
    json(code, &object)
}

fn json(code: u16, object: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(object.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).expect("a status");
    response.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().expect("a header"));
    response
}

pub(super) fn text(code: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = StatusCode::from_u16(code).expect("a status");
    response
}

fn parameters(query: &str) -> HashMap<String, Vec<String>> {
    let mut parameters: HashMap<String, Vec<String>> = HashMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace('+', " ");
        let value = percent_encoding::percent_decode_str(&value).decode_utf8().expect("UTF-8").into_owned();
        parameters.entry(key.to_owned()).or_default().push(value);
    }
    parameters
}

fn labels(selector: &str) -> Vec<(String, String)> {
    let pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Certificates of a cluster.
pub(crate) struct Tls {
    pub(super) config: ServerConfig,
    /// The authority that has signed the others.
    pub(crate) authority: String,
    /// The certificate and the key of a client.
    pub(crate) client: (String, String),
}

impl Tls {
    /// Makes an authority, a server and a client, and requires the client's certificate where that is asked for.
    pub(crate) fn new(needs_client: bool) -> Self {
        Self::of_server(needs_client, "127.0.0.1", |_| ())
    }

    /// The same with a certificate of the server for this name, and with this change to it.
    pub(crate) fn of_server(needs_client: bool, name: &str, change: fn(&mut CertificateParams)) -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_certificate = authority.self_signed(&authority_key).expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);
        let signed = |name: &str, change: fn(&mut CertificateParams)| {
            let key = KeyPair::generate().expect("a key");
            let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            change(&mut parameters);
            (parameters.signed_by(&key, &issuer).expect("a certificate"), key)
        };
        let (server, server_key) = signed(name, change);
        let (client, client_key) = signed("me", |_| ());
        let mut roots = RootCertStore::empty();
        roots.add(authority_certificate.der().clone()).expect("a root");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let verifier = if needs_client { verifier } else { verifier.allow_unauthenticated() };
        let chain: Vec<CertificateDer<'static>> = vec![server.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(chain, key)
            .expect("a configuration");
        Self { config, authority: authority_certificate.pem(), client: (client.pem(), client_key.serialize_pem()) }
    }
}
