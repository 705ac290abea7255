//! Which hosts and addresses a client may connect to.
//!
//! A base URL is configuration, and configuration may come from a form: without this check it would let its author
//! read the cloud's metadata service or the intranet through us (server-side request forgery). Two places are
//! guarded, since a resolver is not asked about IP literals: the URL when the client is built, and every address that
//! a name resolves to when a connection is made. The address that was checked is the one that is dialled, so a name
//! that changes its mind in between (DNS rebinding) gains nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use url::{Host, Url};

/// Whether an address belongs to the public Internet: neither private, loopback, link-local (where clouds keep their
/// metadata service), shared (CGNAT), documentation, benchmarking, multicast nor reserved.
///
/// IPv6 addresses that carry an IPv4 one (mapped, compatible, NAT64, 6to4) are as public as what they carry; Teredo is
/// not. Sources: the IANA special-purpose address registries (RFC 6890 and updates); 168.63.129.16 is Azure's platform
/// address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || [a, b, c, d] == [168, 63, 129, 16];
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let tail = |from: usize| {
        let [a, b] = segments[from].to_be_bytes();
        let [c, d] = segments[from + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // Unspecified, loopback, and the deprecated "compatible" form: what they carry decides (0.0.0.x is refused).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => {
            is_public_v4(tail(6))
        }
        [0x0064, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(tail(6)),
        [0x2002, ..] => is_public_v4(tail(1)),
        // Only 2000::/3 is global unicast; of it Teredo, ORCHID, benchmarking and documentation are not public.
        [0x2001, second, ..] => second >= 0x0200 && second != 0x0db8,
        [0x3fff, second, ..] => second >= 0x1000,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// A host (and perhaps a port) that may be reached without TLS and at a private address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowedHost {
    host: Host<String>,
    port: Option<u16>,
}

impl FromStr for AllowedHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text[colon..].contains(']') => (&text[..colon], Some(&text[colon + 1..])),
            _ => (text, None),
        };
        let port =
            port.map(str::parse::<u16>).transpose().map_err(|_| "the allowed host's port is not a number")?;
        let host = Host::parse(host).map_err(|_| "the allowed host is not `host` or `host:port`")?;
        Ok(Self { host, port })
    }
}

/// Metadata and platform services outside of the link-local ranges: Alibaba Cloud, Azure, AWS (IPv6).
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

/// What may be dialled for the host of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Public addresses.
    Public,
    /// Private and loopback ones too, since the host was named; metadata services and the link-local addresses where
    /// most of them are still not.
    Inside,
}

impl Reach {
    pub(super) fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Public => is_public(address),
            Self::Inside => {
                let link_local = match address {
                    IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
                    IpAddr::V6(v6) => v6.is_unicast_link_local(),
                };
                let refused = link_local || address.is_multicast() || address.is_unspecified();
                !refused && !METADATA.contains(&address)
            }
        }
    }
}

/// Checks the base URL of a client and returns what its host may resolve to.
pub(super) fn check(base: &Url, allowed: &[AllowedHost]) -> Result<Reach, &'static str> {
    if !base.username().is_empty() || base.password().is_some() {
        return Err("the base URL holds a user name or password; give credentials to the builder");
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err("the base URL has a query or a fragment");
    }
    let host = base.host().ok_or("the base URL names no host")?.to_owned();
    let port = base.port_or_known_default();
    let is_allowed =
        allowed.iter().any(|entry| entry.host == host && (entry.port.is_none() || entry.port == port));
    match base.scheme() {
        "https" => {}
        "http" if is_allowed => {}
        "http" => {
            return Err("plain http is refused; an intranet host may be named with allow_insecure_host");
        }
        _ => return Err("the base URL is neither https nor http"),
    }
    if is_allowed {
        // The resolver, which screens names, is not asked about a literal.
        let literal = match host {
            Host::Ipv4(v4) => Some(IpAddr::V4(v4)),
            Host::Ipv6(v6) => Some(IpAddr::V6(v6)),
            Host::Domain(_) => None,
        };
        if literal.is_some_and(|address| !Reach::Inside.allows(address)) {
            return Err("the base URL names a link-local address or a metadata service");
        }
        return Ok(Reach::Inside);
    }
    match host {
        Host::Ipv4(_) | Host::Ipv6(_) => {
            Err("the base URL names an IP address; a private host may be named with allow_insecure_host")
        }
        Host::Domain(name) if is_local_name(&name) => {
            Err("the base URL names this machine; a private host may be named with allow_insecure_host")
        }
        Host::Domain(_) => Ok(Reach::Public),
    }
}

/// `localhost` and everything under it, which RFC 6761 keeps on this machine.
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Why a name was not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another name than the configured one.
    OtherHost,
    /// It resolves to nothing but addresses that may not be reached.
    Private,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherHost => "the name is not that of the configured host",
            Self::Private => "the host resolves to private addresses only",
        })
    }
}

impl std::error::Error for Refused {}

/// Keeps the addresses that may be dialled.
pub(super) fn screen<A>(
    addresses: impl IntoIterator<Item = A>,
    reach: Reach,
    ip: impl Fn(&A) -> IpAddr,
) -> Result<Vec<A>, Refused> {
    let kept: Vec<A> = addresses.into_iter().filter(|address| reach.allows(ip(address))).collect();
    if kept.is_empty() { Err(Refused::Private) } else { Ok(kept) }
}

/// The resolver of a client: answers for the configured host only, and only with addresses within reach.
#[derive(Debug)]
pub(super) struct PinnedResolver {
    pub(super) host: String,
    pub(super) reach: Reach,
}

impl reqwest::dns::Resolve for PinnedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let same = name.as_str().eq_ignore_ascii_case(&self.host);
        let reach = self.reach;
        Box::pin(async move {
            if !same {
                return Err(Refused::OtherHost.into());
            }
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept = screen(found, reach, std::net::SocketAddr::ip)?;
            Ok(Box::new(kept.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::dns::Resolve;

    async fn resolve(host: &str, name: &str, reach: Reach) -> Result<usize, String> {
        let resolver = PinnedResolver { host: host.to_owned(), reach };
        let name = name.parse().map_err(|_| "not a name".to_owned())?;
        resolver.resolve(name).await.map(Iterator::count).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn name_resolving_to_loopback_needs_an_allowed_host() {
        let refused = Err(Refused::Private.to_string());
        assert_eq!(resolve("localhost", "localhost", Reach::Public).await, refused);
        assert!(resolve("localhost", "localhost", Reach::Inside).await.is_ok_and(|count| count > 0));
    }

    #[tokio::test]
    async fn only_the_configured_host_is_resolved() {
        let refused = Err(Refused::OtherHost.to_string());
        assert_eq!(resolve("api.example", "localhost", Reach::Inside).await, refused);
    }

    #[test]
    fn only_public_addresses_of_a_mixed_answer_are_used() {
        // What a rebinding name server gives: one address to pass the check, one to be dialled.
        let mixed: Vec<IpAddr> =
            ["93.184.215.14", "10.0.0.1", "::ffff:127.0.0.1"].map(|a| a.parse().unwrap()).into();
        assert_eq!(screen(mixed.clone(), Reach::Public, |a| *a), Ok(vec![mixed[0]]));
        assert_eq!(screen(mixed[1..].to_vec(), Reach::Public, |a| *a), Err(Refused::Private));
    }

    #[test]
    fn allowed_host_must_not_resolve_to_a_metadata_service() {
        for (address, allowed) in [
            ("10.0.0.1", true),
            ("127.0.0.1", true),
            ("169.254.169.254", false),
            ("::ffff:169.254.169.254", false),
            ("fe80::1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("fd12::1", true),
            ("fd00:ec2::254", false),
            ("100.100.100.200", false),
            ("::ffff:168.63.129.16", false),
        ] {
            let ip: IpAddr = address.parse().unwrap();
            assert_eq!(Reach::Inside.allows(ip), allowed, "{address}");
            let literal = if ip.is_ipv6() { format!("[{address}]") } else { address.to_owned() };
            let base = Url::parse(&format!("http://{literal}/")).unwrap();
            assert_eq!(check(&base, &[literal.parse().unwrap()]).is_ok(), allowed, "{base}");
        }
    }
}
