//! Where a request comes from: the peer, a proxy before it, the name it was sent to, the page that sent it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

/// The names under which the server may be asked. A page of another name, which an attacker's name server lets point here, gets nothing.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: Vec<String>,
    any_address: bool,
}

impl Hosts {
    /// The names of this machine for itself, the address listened on, and others.
    ///
    /// Where every address of the machine is listened on, each may be asked for: an address, unlike a name, cannot be
    /// made to point elsewhere.
    #[must_use]
    pub fn new(listening: IpAddr, others: &[String]) -> Self {
        let mut names: Vec<String> = others
            .iter()
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
            .collect();
        names.push(listening.to_string());
        Self {
            names,
            any_address: listening.is_unspecified(),
        }
    }

    /// Whether a `Host`, with or without a port, is one of them.
    #[must_use]
    pub fn allow(&self, host: &str) -> bool {
        let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if !host.bytes().all(of_host) {
            return false;
        }
        let name = without_port(host);
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" {
            return true;
        }
        let plain = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = plain.parse::<IpAddr>()
            && (self.any_address || address.is_loopback())
        {
            return true;
        }
        self.names.iter().any(|allowed| {
            allowed == "*"
                || allowed == plain
                || allowed
                    .strip_prefix('*')
                    .is_some_and(|end| end.starts_with('.') && plain.ends_with(end))
        })
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address in brackets are no port.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whoever holds the other end of the connection, or is named by the proxy there.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its address.
    pub address: IpAddr,
    /// Whether it speaks to the proxy by TLS.
    pub https: bool,
    /// The name that it asked for; empty where it named none.
    pub host: String,
}

const FORWARDED: [HeaderName; 6] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
];

/// The last value of a header that proxies add to: the one that the nearest proxy wrote.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// Finds out who calls, and leaves in the head only what may be believed of it. `None`: the head names two hosts, or none that can be read.
pub(super) fn caller(
    peer: Option<&ConnectInfo<SocketAddr>>,
    headers: &mut HeaderMap,
    uri: &Uri,
    behind_proxy: bool,
) -> Option<Caller> {
    let mut caller = Caller {
        address: peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip()),
        https: false,
        host: String::new(),
    };
    let mut hosts = headers.get_all(header::HOST).iter();
    if let Some(host) = hosts.next() {
        host.to_str().ok()?.clone_into(&mut caller.host);
    }
    if hosts.next().is_some() {
        return None;
    }
    if let Some(authority) = uri.authority() {
        // A request for a whole address names its host twice.
        if !caller.host.is_empty() && !caller.host.eq_ignore_ascii_case(authority.as_str()) {
            return None;
        }
        authority.as_str().clone_into(&mut caller.host);
    }
    if behind_proxy {
        if let Some(address) = last(headers, &FORWARDED[1]).and_then(read_address) {
            caller.address = address;
        }
        if let Some(host) = last(headers, &FORWARDED[2]).filter(|host| !host.is_empty()) {
            host.clone_into(&mut caller.host);
        }
        caller.https =
            last(headers, &FORWARDED[3]).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    }
    for name in &FORWARDED {
        headers.remove(name);
    }
    if caller.https {
        headers.insert(&FORWARDED[3], HeaderValue::from_static("https"));
    }
    if behind_proxy && let Ok(host) = HeaderValue::from_str(&caller.host) {
        headers.insert(header::HOST, host);
    }
    // One address has two forms.
    caller.address = caller.address.to_canonical();
    Some(caller)
}

/// An address, with or without a port.
fn read_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_matches(['[', ']']).parse())
        .ok()
}

/// What one client is, for limits: an IPv4 address, or the network that an IPv6 host has for itself.
pub(super) fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let mut parts = address.segments();
            parts[4..].fill(0);
            IpAddr::from(parts)
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Whether a request may change anything by its method.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the page of another site sent a request, as browsers tell. Programs tell nothing, and are no pages.
pub(super) fn is_of_other_site(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return true;
    }
    let Some(origin) = text("origin") else {
        return false;
    };
    let of = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    !of.is_some_and(|of| of.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_hosts() {
        let hosts = Hosts::new(
            "10.0.0.5".parse().expect("is one"),
            &["Outlay.Example".to_owned(), "*.lab.example".to_owned()],
        );
        for good in [
            "localhost",
            "LOCALHOST:5000",
            "localhost.",
            "127.0.0.1:5000",
            "127.0.0.2",
            "[::1]:80",
            "10.0.0.5:5000",
            "outlay.example:443",
            "a.lab.example",
        ] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.6",
            "outlay.example.evil",
            "evil-lab.example",
            "lab.example",
            "localhost:80@evil.example",
            "[::2]:80",
            "0x7f.1",
            "localhost evil",
            "evil.example/.lab.example",
        ] {
            assert!(!hosts.allow(bad), "{bad}");
        }
        let everywhere = Hosts::new("0.0.0.0".parse().expect("is one"), &[]);
        assert!(everywhere.allow("192.168.1.9:5000") && !everywhere.allow("evil.example"));
    }

    #[test]
    fn a_proxy_is_believed_only_where_there_is_one() {
        let head = || {
            let mut headers = HeaderMap::new();
            let mut set = |name: &'static str, value: &'static str| {
                headers.append(name, HeaderValue::from_static(value));
            };
            set("host", "inner:5000");
            set("x-forwarded-for", "6.6.6.6, 10.1.1.1");
            set("x-forwarded-for", "7.7.7.7");
            set("x-forwarded-proto", "https");
            set("x-forwarded-host", "outlay.example");
            headers
        };
        let uri = Uri::from_static("/");
        let mut headers = head();
        let direct = caller(None, &mut headers, &uri, false).expect("is one");
        assert_eq!(direct.address.to_string(), "127.0.0.1");
        assert_eq!((direct.https, direct.host.as_str()), (false, "inner:5000"));
        assert!(headers.get("x-forwarded-proto").is_none());
        let mut headers = head();
        let behind = caller(None, &mut headers, &uri, true).expect("is one");
        assert_eq!(behind.address.to_string(), "7.7.7.7");
        assert_eq!(
            (behind.https, behind.host.as_str()),
            (true, "outlay.example")
        );
        assert_eq!(headers["host"], "outlay.example");
        let mut two = head();
        two.append("host", HeaderValue::from_static("other"));
        assert!(caller(None, &mut two, &uri, false).is_none());
        let whole = Uri::from_static("http://evil.example/");
        assert!(caller(None, &mut head(), &whole, false).is_none());
    }

    #[test]
    fn pages_of_other_sites_are_known_by_what_browsers_tell() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_of_other_site(&headers, "localhost:5000")
        };
        assert!(!of(&[]));
        assert!(!of(&[("origin", "http://localhost:5000")]));
        assert!(!of(&[("sec-fetch-site", "same-origin")]));
        assert!(of(&[("origin", "http://localhost:3000")]));
        assert!(of(&[("origin", "null")]));
        assert!(of(&[("origin", "localhost:5000")]));
        assert!(of(&[("sec-fetch-site", "same-site")]));
        assert!(of(&[("sec-fetch-site", "cross-site")]));
        assert!(of(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://evil.example")
        ]));
    }
}
