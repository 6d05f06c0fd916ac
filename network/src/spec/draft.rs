//! First documents of a consortium, with words for the people who complete them.

use std::fmt::Write as _;

use super::{Consortium, ORDERING};

/// What stands above a consortium's document.
const HEAD: &str = "\
# The consortium, as all its organisations agree on it: every one of them has the same text.
# Who one is, and which addresses one's machine listens at, stands in each organisation's own organization.toml.
# Editors complete and check this file by its JSON Schema; see `network spec --schema consortium`.

";

impl Consortium {
    /// The consortium as a TOML document with comments, that [`Consortium::parse`] reads.
    ///
    /// # Errors
    /// A [`toml::ser::Error`] when it could not be written, which no checked consortium gives.
    pub fn to_document(&self) -> Result<String, toml::ser::Error> {
        let mut text = HEAD.to_owned();
        let mut organizations = self.organizations.iter();
        let (mut own, mut section) = (None, "");
        for line in self.to_toml()?.lines() {
            let comment = match line {
                "[channel]" => {
                    "# How blocks are cut, and whose peers must endorse: `any`, `majority` or `all`.\n"
                }
                "[orderer]" => "# The organisation that orders, and its nodes.\n",
                "[chaincode]" => {
                    "# The chaincode that all agree on; a change of it takes the next `sequence`.\n"
                }
                "[[organizations]]" => {
                    own = organizations.next();
                    "# A member: its peers endorse and keep the ledger.\n"
                }
                _ => "",
            };
            if line.starts_with('[') {
                section = line;
            }
            let _ = writeln!(text, "{comment}{line}");
            let found = match section {
                "[orderer]" if line.starts_with("consenters = ") => Some((
                    &self.orderer.consenters,
                    &self.orderer.domain,
                    7050,
                    self.orderer.endpoints.is_empty(),
                )),
                "[[organizations]]" if line.starts_with("peers = ") => {
                    own.map(|own| (&own.peers, &own.domain, 7051, own.endpoints.is_empty()))
                }
                _ => None,
            };
            if let Some((nodes, domain, port, true)) = found {
                let all = nodes.iter().map(|node| format!("{node} = \"{node}.{domain}:{port}\""));
                let all = all.collect::<Vec<_>>().join(", ");
                let _ = writeln!(
                    text,
                    "# Where the others find them, on machines of their own; without it 127.0.0.1 and a port that is chosen.\n\
                     # endpoints = {{ {all} }}"
                );
            }
        }
        Ok(text)
    }

    /// The names of all organisations that have a part of their own, the ordering one first.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(ORDERING).chain(self.organizations.iter().map(|member| member.name.as_str()))
    }

    /// An organisation's own document, with comments, that [`super::Part::parse`] reads; the paths of the consortium's
    /// document and of the state folder are from its folder.
    pub fn part_document(&self, organization: &str, consortium: &str, state: &str) -> String {
        let member = self.organizations.iter().find(|member| member.name == organization);
        let (nodes, port) = match member {
            Some(member) => (&member.peers, 7051),
            None => (&self.orderer.consenters, 7050),
        };
        let mut text = format!(
            "# What concerns `{organization}` alone. It stays on {organization}'s machine.\n\
             organization = \"{organization}\"\n\
             consortium = \"{consortium}\"\n\n\
             # Keys, ledgers and everything else that runs here.\n\
             state = \"{state}\"\n\n\
             # The program that serves the chaincode, when it is not the usual one.\n\
             # chaincode_program = \"/opt/chaincode\"\n\n\
             # Where keys come from: `development` makes them here; `requests` has an authority elsewhere make the\n\
             # certificates; `files` takes a tree such as cryptogen's.\n\
             [keys]\n\
             source = \"development\"\n\
             # source = \"files\"\n\
             # folder = \"pki\"\n\n\
             # Where nodes listen, when it is not at their endpoints in the consortium's document.\n"
        );
        for node in nodes {
            let _ = writeln!(
                text,
                "# [nodes.{node}]\n# listen = \"0.0.0.0:{port}\"\n# operations = \"127.0.0.1:9443\""
            );
            if member.is_none() {
                let _ = writeln!(text, "# admin = \"127.0.0.1:9444\"");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Chaincode, DEFAULT, Part};
    use super::*;

    #[test]
    fn first_documents_read_back_and_their_comments_are_right() {
        let mut spec = Consortium::parse(DEFAULT).unwrap();
        spec.set_orderers("bft:4".parse().unwrap()).unwrap();
        spec.set_chaincode(Chaincode::new("shelf", "shelf_1")).unwrap();
        let document = spec.to_document().unwrap();
        assert_eq!(Consortium::parse(&document).unwrap(), spec);

        // What is only a comment is valid once it is none.
        let uncommented = document.replace("# endpoints", "endpoints");
        let named = Consortium::parse(&uncommented).unwrap();
        assert_eq!(named.orderer.endpoints["orderer3"].to_string(), "orderer3.orderer.example.com:7050");
        assert_eq!(named.organizations[1].endpoints["peer0"].to_string(), "peer0.south.example.com:7051");
        assert!(!named.to_document().unwrap().contains("# endpoints"));

        assert_eq!(spec.parts().collect::<Vec<_>>(), ["orderer", "north", "south"]);
        for name in spec.parts() {
            let document = spec.part_document(name, "../consortium.toml", "state");
            let part = Part::parse(&document).unwrap();
            part.check(&spec).unwrap();
            assert_eq!(part.organization, name);
            let nodes = document.split_once("# [nodes").unwrap();
            let uncommented = format!("{}[nodes{}", nodes.0, nodes.1.replace("# ", ""));
            // Of several nodes each needs another port, which is theirs to choose.
            if name != "orderer" {
                Part::parse(&uncommented).unwrap().check(&spec).unwrap();
            }
        }
    }
}
