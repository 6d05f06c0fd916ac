//! A project of Docker Compose, or of Podman's.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::workload::{CHAINCODE_PORT, Kind, OPERATIONS_PORT, Site, Workload};
use super::{Export, ExportError, Written, yaml};
use crate::node::LISTEN;

const NETWORK: &str = "fabric";

pub(super) fn write(
    export: &Export,
    site: &Site<'_>,
    workloads: &[Workload],
    written: &mut Written,
) -> Result<(), ExportError> {
    let mut services = Map::new();
    let (mut volumes, mut secrets) = (Map::new(), Map::new());
    for workload in workloads {
        services.insert(workload.name.clone(), service(export, site, workload));
        if workload.keeps_data {
            volumes.insert(volume(workload), json!({}));
        }
        for secret in &workload.secrets {
            if let Some(keystore) = &secret.keystore {
                // What a file is mounted over has to be there.
                written.text(Path::new("config").join(keystore).join(secret.name), String::new());
            }
            let file = format!("./keys/{}/{}", workload.name, secret.name);
            secrets.insert(secret_id(workload, secret.name), json!({ "file": file }));
        }
    }
    let project = json!({
        "name": "hlf-network",
        "services": services,
        "networks": { NETWORK: {} },
        "volumes": volumes,
        "secrets": secrets,
    });
    let comment = "One service for each process. `keys/` and `config/` lie beside this file.";
    written.text("compose.yaml", yaml(comment, &[project])?);
    written.text("README.md", readme(export));
    Ok(())
}

fn service(export: &Export, site: &Site<'_>, workload: &Workload) -> Value {
    let programs = export.paths.programs.display();
    let (image, program) = match workload.kind {
        Kind::Peer => (&export.images.peer, workload.program.clone()),
        Kind::Orderer => (&export.images.orderer, workload.program.clone()),
        Kind::Chaincode => (&export.images.tools, format!("{programs}/{}", workload.program)),
    };
    let command: Vec<String> = std::iter::once(program).chain(workload.args.iter().cloned()).collect();
    let mut volumes = vec![json!(format!("./config:{}:ro", export.paths.config.display()))];
    if workload.keeps_data {
        let data = site.data(&workload.name);
        volumes.push(json!(format!("{}:{}", volume(workload), data.display())));
    }
    if workload.kind == Kind::Peer {
        // The builder's program, which the image of a peer does not have.
        volumes.push(json!(format!("./programs:{programs}:ro")));
    }
    let keys = site.keys(&workload.name);
    let config = &export.paths.config;
    let secrets: Vec<Value> = workload
        .secrets
        .iter()
        .map(|secret| {
            json!({
                "source": secret_id(workload, secret.name),
                "target": match &secret.keystore {
                    Some(keystore) => config.join(keystore).join(secret.name),
                    None => keys.join(secret.name),
                },
            })
        })
        .collect();
    let published: Vec<Value> = match workload.kind {
        Kind::Chaincode => Vec::new(),
        Kind::Peer | Kind::Orderer => workload
            .listens
            .iter()
            .filter(|(purpose, _)| *purpose == LISTEN)
            .map(|(_, address)| json!(format!("{0}:{0}", address.port())))
            .collect(),
    };
    let mut exposed = vec![json!(OPERATIONS_PORT.to_string())];
    if workload.kind == Kind::Chaincode {
        exposed = vec![json!(CHAINCODE_PORT.to_string())];
    }
    json!({
        "image": image,
        "command": command,
        "user": "${HLF_USER:-10001:10001}",
        "environment": workload.env,
        "volumes": volumes,
        "secrets": secrets,
        "ports": published,
        "expose": exposed,
        "networks": { NETWORK: { "aliases": [workload.name] } },
        "tmpfs": ["/tmp"],
        "read_only": true,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": "30s",
    })
}

fn volume(workload: &Workload) -> String {
    format!("data-{}", workload.name)
}

fn secret_id(workload: &Workload, name: &str) -> String {
    format!("{}-{}", workload.name, name.trim_end_matches(".pem"))
}

fn readme(export: &Export) -> String {
    let builder = export.builder.program.file_name().unwrap_or_default().to_string_lossy();
    let tools = &export.images.tools;
    let programs = export.paths.programs.display();
    format!(
        "# Nodes in containers\n\n\
         1. Put the builder's program, `{builder}`, into `programs/` beside `compose.yaml`. It runs in the peer's image: build it \
         so that it needs no other library than that image has.\n\
         2. Make the image `{tools}`, with the chaincode's program in `{programs}`.\n\
         3. Give `keys/` and the volumes to the user that runs the containers, 10001 unless `HLF_USER=uid:gid` says another: \
         `chown -R 10001:10001 keys`.\n\
         4. `docker compose up -d`, or `podman-compose up -d`.\n\n\
         Each node publishes the port of its address in the consortium. Its operations endpoint is for containers of this project \
         alone. Ledgers are in volumes named `data-NODE`; an empty one has to join its channel.\n"
    )
}
