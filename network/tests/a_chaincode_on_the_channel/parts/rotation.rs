//! Parts whose ordering nodes are exchanged, one after the other.

use hlf_network::change::{ConsenterEdit, NewConsenter};

use super::*;

/// Whoever joins later has the first block of all; the ordering nodes that it names may all be gone.
pub(crate) async fn a_part_joins_though_no_first_ordering_node_is_left() {
    let spec = consortium("raft:1", &["north"]);
    let post = Post::new();
    let [mut orderer, mut north] = ["orderer", "north"].map(|name| Machine::new(name, &spec));
    north.imports(&post.description_of(&orderer).await).await;
    let of_north = post.description_of(&north).await;
    orderer.imports(&of_north).await;
    let (block, _) = orderer.network().first_block(&orderer.options(), &say).await.unwrap();
    let block = post.put("consortium.block", &block);
    north.imports(&block).await;
    assert_eq!(orderer.waits_for().await, [""; 0]);
    assert_eq!(north.waits_for().await, [""; 0]);

    another_orders(&mut orderer, "orderer0", "orderer1").await;
    let of_orderer = post.description_of(&orderer).await;
    north.spec = orderer.spec.clone();
    north.import_with(&of_orderer, None, true).await.unwrap();
    assert_eq!(north.waits_for().await, [""; 0]);
    put(&north.network(), "north", "ordered by the second").await;

    let mut spec = orderer.spec.clone();
    spec.set_organizations(&["north", "south"]).unwrap();
    spec.organizations[1]
        .endpoints
        .insert("peer0".to_owned(), Places { taken: Vec::new() }.next("127.0.0.5"));
    let mut south = Machine::new("south", &spec);
    for file in [&of_orderer, &of_north, &block] {
        south.imports(file).await;
    }
    assert_eq!(south.waits_for().await, ["the members"]);
    let definition = OrganizationDefinition::of_description(&south.describe().await);
    changed_by(&north, Edit::AddOrganization(Box::new(definition))).await;
    assert_eq!(south.waits_for().await, [""; 0]);
    has(&south.network(), "south", "ordered by the second").await;
    valid(try_put(&south.network(), "south", &["NorthMSP", "SouthMSP"], "of both").await);

    // A third one, to whom the first block tells of nobody who is left.
    another_orders(&mut orderer, "orderer1", "orderer2").await;
    let of_orderer = post.description_of(&orderer).await;
    for machine in [&mut north, &mut south] {
        machine.spec.orderer = orderer.spec.orderer.clone();
        machine.import_with(&of_orderer, None, true).await.unwrap();
        assert_eq!(machine.waits_for().await, [""; 0]);
    }
    put(&north.network(), "north", "ordered by the third").await;
}

/// Another ordering node comes, and the one that was there goes.
async fn another_orders(orderer: &mut Machine, old: &str, new: &str) {
    let gone = orderer.spec.orderer.endpoints[old].to_string();
    orderer.spec.orderer.consenters.push(new.to_owned());
    let place = Places { taken: Vec::new() }.next("127.0.0.2");
    orderer.spec.orderer.endpoints.insert(new.to_owned(), place);
    orderer.up().await;
    let host = format!("{new}.orderer.example.com");
    let description = NewConsenter::of_description(&orderer.describe().await, &host);
    changed_by(orderer, Edit::Consenter(ConsenterEdit::Add(description.unwrap()))).await;
    changed_by(orderer, Edit::Consenter(ConsenterEdit::Remove { address: gone })).await;
    orderer.spec.orderer.consenters.remove(0);
    orderer.spec.orderer.endpoints.remove(old);
    assert_eq!(orderer.waits_for().await, [""; 0]);
    assert_eq!(marked(&orderer.bench.folder).len(), 1);
}

/// A change that one organisation's signature is enough for.
async fn changed_by(machine: &Machine, edit: Edit) {
    let network = machine.network();
    let present = network.channel_config().await.unwrap();
    let mut proposal = Proposal::new(&present, "a change", &[edit]).unwrap();
    proposal.sign(&present, &machine.admin()).await.unwrap();
    if let Err(error) = network.submit_change(&proposal, &machine.admin(), &say).await {
        panic!("{}", told(&error));
    }
}
