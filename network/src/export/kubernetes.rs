//! Manifests of Kubernetes: a stateful set for each node, with the chaincode service in the pod of each peer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::workload::{Kind, OPERATIONS_PORT, Site, Workload};
use super::{Export, ExportError, Written, yaml};
use crate::node::LISTEN;

/// The user and group as whom containers run.
const USER: u32 = 10_001;
const DATA_BYTES: &str = "20Gi";

pub(super) fn write(
    export: &Export,
    site: &Site<'_>,
    workloads: &[Workload],
    written: &mut Written,
) -> Result<(), ExportError> {
    let nodes = workloads.iter().filter(|workload| workload.kind != Kind::Chaincode);
    for node in nodes {
        let beside = workloads.iter().find(|other| {
            other.kind == Kind::Chaincode
                && node.kind == Kind::Peer
                && other.organization == node.organization
        });
        let pod: Vec<&Workload> = std::iter::once(node).chain(beside).collect();
        let mut documents = vec![configuration(&pod)];
        documents.extend([service(node), stateful_set(export, site, &pod), policy(node)]);
        let comment =
            format!("{} of {}: configuration, service, node, who may reach it.", node.name, node.msp_id);
        written.text(format!("kubernetes/{}.yaml", node.name), yaml(&comment, &documents)?);
        if export.keys {
            let comment = format!("The private keys of {}: hand them over as you do secrets.", node.name);
            let text = yaml(&comment, &[keys(&pod)])?;
            written.add(
                format!("kubernetes/{}.keys.yaml", node.name),
                crate::files::SECRET,
                text.into_bytes(),
            );
        }
    }
    written.text("README.md", readme(export));
    Ok(())
}

/// A name as Kubernetes takes it: no dots.
fn id(name: &str) -> String {
    name.replace('.', "-")
}

fn metadata(node: &Workload, suffix: &str) -> Value {
    json!({ "name": format!("{}{suffix}", id(&node.name)), "labels": labels(node) })
}

fn labels(node: &Workload) -> Value {
    json!({
        "app.kubernetes.io/name": node.program,
        "app.kubernetes.io/instance": id(&node.name),
        "app.kubernetes.io/part-of": "hlf-network",
    })
}

/// The name of a file in a configuration map, which takes no folders.
fn key_of(path: &std::path::Path) -> String {
    path.to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' })
        .collect()
}

fn configuration(pod: &[&Workload]) -> Value {
    let mut data = Map::new();
    for (path, file) in pod.iter().flat_map(|workload| &workload.files) {
        data.insert(key_of(path), json!(String::from_utf8_lossy(&file.bytes)));
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": pod.first().map(|node| metadata(node, "-config")),
        "data": data,
    })
}

fn keys(pod: &[&Workload]) -> Value {
    let mut data = Map::new();
    for workload in pod {
        for secret in &workload.secrets {
            data.insert(secret_key(workload, secret.name), json!(STANDARD.encode(&secret.bytes)));
        }
    }
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": pod.first().map(|node| metadata(node, "-keys")),
        "data": data,
    })
}

fn secret_key(workload: &Workload, name: &str) -> String {
    match workload.kind {
        Kind::Chaincode => format!("chaincode-{name}"),
        Kind::Peer | Kind::Orderer => name.to_owned(),
    }
}

fn service(node: &Workload) -> Value {
    let ports: Vec<Value> = node
        .listens
        .iter()
        .filter(|(_, address)| !address.ip().is_loopback())
        .map(|(purpose, address)| json!({ "name": purpose, "port": address.port(), "targetPort": *purpose }))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(node, ""),
        "spec": {
            "type": "ClusterIP",
            "selector": { "app.kubernetes.io/instance": id(&node.name) },
            "ports": ports,
        },
    })
}

fn stateful_set(export: &Export, site: &Site<'_>, pod: &[&Workload]) -> Value {
    let Some(node) = pod.first() else { return Value::Null };
    let containers: Vec<Value> = pod.iter().map(|workload| container(export, site, workload)).collect();
    let name = id(&node.name);
    let files: Vec<Value> = pod
        .iter()
        .flat_map(|workload| &workload.files)
        .map(|(path, file)| json!({ "key": key_of(path), "path": path, "mode": file.mode }))
        .collect();
    // One volume of both: Fabric looks for signing keys beside certificates.
    let signing: Vec<Value> = node
        .secrets
        .iter()
        .filter_map(|secret| Some((secret, secret.keystore.as_ref()?)))
        .map(|(secret, keystore)| {
            json!({ "key": secret_key(node, secret.name), "path": keystore.join(secret.name), "mode": 0o440 })
        })
        .collect();
    let mut volumes = vec![
        json!({ "name": "config", "projected": { "sources": [
            { "configMap": { "name": format!("{name}-config"), "items": files } },
            { "secret": { "name": format!("{name}-keys"), "items": signing } },
        ] } }),
        json!({ "name": "tmp", "emptyDir": {} }),
    ];
    for workload in pod {
        let items: Vec<Value> = workload
            .secrets
            .iter()
            .filter(|secret| secret.keystore.is_none())
            .map(|secret| json!({ "key": secret_key(workload, secret.name), "path": secret.name }))
            .collect();
        volumes.push(json!({ "name": keys_volume(workload), "secret": {
            "secretName": format!("{name}-keys"), "defaultMode": 0o440, "items": items,
        } }));
    }
    let spec = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": containers,
    });
    let mut more = Vec::new();
    if node.kind == Kind::Peer {
        volumes.push(json!({ "name": "programs", "emptyDir": {} }));
        // The builder's program, which the image of a peer does not have.
        let programs = export.paths.programs.display().to_string();
        let builder = export.builder.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        more.push((
            "initContainers",
            json!([{
                "name": "builder",
                "image": export.images.tools,
                "command": ["cp", format!("{programs}/{builder}"), "/programs/"],
                "securityContext": confined(),
                "volumeMounts": [{ "name": "programs", "mountPath": "/programs" }],
            }]),
        ));
    }
    more.push(("volumes", json!(volumes)));
    let spec = with(spec, more);
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(node, ""),
        "spec": {
            // A node is one process: a second one with its keys would be another node of the same name.
            "replicas": 1,
            "serviceName": id(&node.name),
            "selector": { "matchLabels": { "app.kubernetes.io/instance": id(&node.name) } },
            "template": { "metadata": { "labels": labels(node) }, "spec": spec },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": DATA_BYTES } },
                },
            }],
        },
    })
}

fn keys_volume(workload: &Workload) -> &'static str {
    match workload.kind {
        Kind::Chaincode => "chaincode-keys",
        Kind::Peer | Kind::Orderer => "keys",
    }
}

fn container(export: &Export, site: &Site<'_>, workload: &Workload) -> Value {
    let programs = export.paths.programs.display();
    let (name, image, program) = match workload.kind {
        Kind::Peer => ("peer", &export.images.peer, workload.program.clone()),
        Kind::Orderer => ("orderer", &export.images.orderer, workload.program.clone()),
        Kind::Chaincode => ("chaincode", &export.images.tools, format!("{programs}/{}", workload.program)),
    };
    let command: Vec<String> = std::iter::once(program).chain(workload.args.iter().cloned()).collect();
    let env: Vec<Value> =
        workload.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let mut mounts = vec![
        json!({ "name": "config", "mountPath": export.paths.config, "readOnly": true }),
        json!({ "name": keys_volume(workload), "mountPath": site.keys(&workload.name), "readOnly": true }),
        json!({ "name": "tmp", "mountPath": "/tmp" }),
    ];
    if workload.keeps_data {
        mounts.push(json!({ "name": "data", "mountPath": site.data(&workload.name) }));
    }
    if workload.kind == Kind::Peer {
        mounts.push(json!({ "name": "programs", "mountPath": export.paths.programs, "readOnly": true }));
    }
    let ports: Vec<Value> = workload
        .listens
        .iter()
        .filter(|(_, address)| !address.ip().is_loopback())
        .map(|(purpose, address)| json!({ "name": purpose, "containerPort": address.port() }))
        .collect();
    let container = json!({
        "name": name,
        "image": image,
        "command": command,
        "env": env,
        "ports": ports,
        "securityContext": confined(),
        "resources": { "requests": { "cpu": "250m", "memory": "512Mi" } },
        "volumeMounts": mounts,
    });
    if workload.kind == Kind::Chaincode {
        return container;
    }
    let healthy = json!({ "path": "/healthz", "port": OPERATIONS_PORT, "scheme": "HTTPS" });
    let probes = [
        ("startupProbe", json!({ "httpGet": healthy, "periodSeconds": 2, "failureThreshold": 150 })),
        ("readinessProbe", json!({ "httpGet": healthy, "periodSeconds": 10 })),
        ("livenessProbe", json!({ "httpGet": healthy, "periodSeconds": 20, "failureThreshold": 6 })),
    ];
    with(container, probes)
}

/// An object with further fields.
fn with(object: Value, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let Value::Object(mut fields) = object else { return object };
    fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fields)
}

fn confined() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// Everybody may reach a node where it is for everybody; what it has besides is for its own namespace.
fn policy(node: &Workload) -> Value {
    let ports = |of_all: bool| -> Vec<Value> {
        node.listens
            .iter()
            .filter(|(purpose, address)| (*purpose == LISTEN) == of_all && !address.ip().is_loopback())
            .map(|(_, address)| json!({ "protocol": "TCP", "port": address.port() }))
            .collect()
    };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(node, ""),
        "spec": {
            "podSelector": { "matchLabels": { "app.kubernetes.io/instance": id(&node.name) } },
            "policyTypes": ["Ingress"],
            "ingress": [
                { "ports": ports(true) },
                { "from": [{ "podSelector": {} }], "ports": ports(false) },
            ],
        },
    })
}

fn readme(export: &Export) -> String {
    let tools = &export.images.tools;
    let programs = export.paths.programs.display();
    format!(
        "# Nodes in Kubernetes\n\n\
         1. Make the image `{tools}`, with the builder's and the chaincode's program in `{programs}`, and `cp`.\n\
         2. `kubectl apply -f kubernetes/` in a namespace of its own. `*.keys.yaml` are secrets: apply them apart, or replace them by \
         what your cluster has for that, under the same names.\n\
         3. Let each node be reached from outside by the address that the consortium has for it (a load balancer, an ingress that \
         passes TLS through): others dial that name, and the node's certificate is for it.\n\n\
         A peer's pod has the organisation's chaincode service in it: they talk over 127.0.0.1. Volumes of {DATA_BYTES} are claimed; \
         an empty one has to join its channel.\n"
    )
}
