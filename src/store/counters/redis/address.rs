//! Where Redis is: the URLs that name a server, or some of the nodes of a cluster.

use redis::{Client, ConnectionInfo, IntoConnectionInfo as _};

use crate::store::StoreError;

/// What an address may look like, for whoever wrote another one.
const FORMS: &str = "redis://[user:password@]host[:port][/db], rediss:// for TLS, \
    redis+cluster:// or rediss+cluster:// for a cluster, with nodes separated by commas";

/// A server, or nodes of a cluster that know the others.
#[derive(Clone)]
pub struct Address {
    pub nodes: Vec<ConnectionInfo>,
    /// Whether it is said to be a cluster. A server that turns out to be part of one is taken for it, too.
    pub cluster: bool,
    /// Without user and password.
    shown: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let invalid =
            |what: &str| StoreError::Invalid(format!("an address of Redis {what}; it is one of {FORMS}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("has no scheme"))?;
        let (scheme, said) = match scheme {
            "redis" | "rediss" => (scheme, false),
            "redis+cluster" => ("redis", true),
            "rediss+cluster" => ("rediss", true),
            _ => return Err(invalid("has another scheme")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (path, asked) = without_cluster(path);
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let at = if user.is_empty() { "" } else { "@" };
        let nodes = hosts
            .split(',')
            .map(|host| {
                let url = format!("{scheme}://{user}{at}{host}{path}");
                // The crate's own words may repeat the password.
                url.into_connection_info().map_err(|_| invalid("cannot be read"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        // What `Client::open` refuses it refuses without connecting.
        for node in &nodes {
            Client::open(node.clone()).map_err(|error| invalid(&format!("is refused ({error})")))?;
        }
        let cluster = said || asked || nodes.len() > 1;
        Ok(Self {
            nodes,
            cluster,
            shown: format!("{scheme}://{hosts}{}", if cluster { " (cluster)" } else { "" }),
        })
    }
}

/// The path and query without `cluster=true`, and whether that was in it.
fn without_cluster(path: &str) -> (String, bool) {
    let Some((before, query)) = path.split_once('?') else { return (path.to_owned(), false) };
    let rest: Vec<&str> = query.split('&').filter(|pair| *pair != "cluster=true").collect();
    let found = rest.len() < query.split('&').count();
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    (format!("{before}{query}"), found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_clusters_are_told_apart() {
        for (url, nodes, cluster) in [
            ("redis://127.0.0.1", 1, false),
            ("rediss://user:pass@cache.example.com:6380/2", 1, false),
            ("redis://127.0.0.1:7000?cluster=true", 1, true),
            ("redis+cluster://a:1,b:2,c:3", 3, true),
            ("rediss+cluster://:secret@a:1,b:2", 2, true),
            ("redis://a:1,b:2", 2, true),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.nodes.len(), address.cluster), (nodes, cluster), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_is_shown() {
        for url in ["", "127.0.0.1:6379", "http://a", "redis://", "redis://a:x", "redis+cluster://a:1,:2"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
        let address = Address::parse("rediss+cluster://me:planted-secret@a:1,b:2").unwrap();
        let error = Address::parse("redis://me:planted-secret@a:99999999").unwrap_err();
        assert!(!format!("{address} {address:?} {error} {error:?}").contains("planted-secret"));
    }
}
