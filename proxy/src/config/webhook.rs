//! A webhook as `[[notify]]` describes it. Its URL is a secret, as whoever knows it may write there: nothing here shows
//! it, not by Debug and not in an error. Sends nothing.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, time::Duration};

use hyper::Uri;
use rustls_pki_types::ServerName;
use serde::Serialize;
use thiserror::Error;

use super::Secret;

/// `[[notify]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where to.
    pub url: WebhookUrl,
    /// About what.
    pub events: BTreeSet<Topic>,
    /// In which words.
    pub format: Format,
    /// How long one try may take.
    pub timeout: Duration,
    /// PEM roots for the server's certificate; `None`: the bundled public roots.
    pub ca: Option<PathBuf>,
}

/// `[[notify]] events`: what a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Somebody asks, and others are to decide.
    Request,
    /// A request was approved, rejected, withdrawn, or lapsed.
    Decision,
    /// The glass was broken, or was not to be; somebody looked at it, or nobody did in time.
    BreakGlass,
    /// A grant ended.
    GrantEnd,
    /// The audit cannot be written.
    AuditFailure,
}

impl Topic {
    /// Every topic, as written in `proxy.toml`.
    pub const ALL: [(&'static str, Self); 5] = [
        ("request", Self::Request),
        ("decision", Self::Decision),
        ("break_glass", Self::BreakGlass),
        ("grant_end", Self::GrantEnd),
        ("audit_failure", Self::AuditFailure),
    ];
}

/// `[[notify]] format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fields for machines, and one line for people.
    Json,
    /// What Slack, Mattermost and Rocket.Chat show: `text` and `blocks`.
    Slack,
}

/// Where Slack's own incoming webhooks are.
const SLACK: &str = "hooks.slack.com";

/// A webhook's URL, taken apart. Equal only when the whole URL is.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    path: Secret,
}

/// How a webhook is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// Under TLS.
    Https,
}

/// What is wrong with a URL; never the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoUrl {
    /// It does not parse.
    #[error("holds no URL")]
    Malformed,
    /// Another scheme, or none.
    #[error("holds a URL that is neither `https://` nor `http://`")]
    Scheme,
    /// `user:password@host`.
    #[error("holds a URL with a user or a password in it")]
    UserInfo,
    /// A host that no server can be called.
    #[error("holds a URL without a proper host")]
    Host,
}

impl std::fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookUrl(…)")
    }
}

impl WebhookUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// What is wrong, without the URL.
    pub fn parse(url: &Secret) -> Result<Self, NoUrl> {
        let uri: Uri = url.reveal().trim().parse().map_err(|_| NoUrl::Malformed)?;
        let (scheme, usual) = match uri.scheme_str() {
            Some("https") => (Scheme::Https, 443),
            Some("http") => (Scheme::Http, 80),
            Some(_) | None => return Err(NoUrl::Scheme),
        };
        let authority = uri.authority().ok_or(NoUrl::Host)?;
        if authority.as_str().contains('@') {
            return Err(NoUrl::UserInfo);
        }
        // An address of IPv6 stands in brackets.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if ServerName::try_from(host.as_str()).is_err() {
            return Err(NoUrl::Host);
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None => usual,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { scheme, host, port, path: Secret::new(path.to_owned()) })
    }

    /// Plain or under TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` header.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.scheme, self.port) {
            (Scheme::Https, 443) | (Scheme::Http, 80) => host,
            (Scheme::Https | Scheme::Http, port) => format!("{host}:{port}"),
        }
    }

    /// Path and query: the part that is a secret in any case.
    pub fn path(&self) -> &Secret {
        &self.path
    }

    /// Whether what is sent there stays on this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// What its server understands, as far as its name tells.
    pub fn usual_format(&self) -> Format {
        if self.host == SLACK { Format::Slack } else { Format::Json }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<WebhookUrl, NoUrl> {
        WebhookUrl::parse(&Secret::new(url.to_owned()))
    }

    #[test]
    fn urls_are_taken_apart_and_shown_to_nobody() {
        let slack = parsed("https://hooks.slack.com/services/T0/B0/token\n").unwrap();
        assert_eq!((slack.scheme(), slack.host(), slack.port()), (Scheme::Https, "hooks.slack.com", 443));
        assert_eq!((slack.authority().as_str(), slack.path().reveal()), ("hooks.slack.com", "/services/T0/B0/token"));
        assert_eq!((slack.usual_format(), slack.is_loopback()), (Format::Slack, false));
        assert_eq!(format!("{slack:?}"), "WebhookUrl(…)");

        let local = parsed("http://[::1]:8080/x?token=y").unwrap();
        assert_eq!((local.host(), local.authority().as_str()), ("::1", "[::1]:8080"));
        assert_eq!((local.path().reveal(), local.is_loopback()), ("/x?token=y", true));
        assert_eq!(local.usual_format(), Format::Json);
        assert_eq!(parsed("http://chat.example").unwrap().path().reveal(), "/");
    }

    #[test]
    fn what_is_no_url_is_said_without_it() {
        for (url, wrong) in [
            ("", NoUrl::Malformed),
            ("https://", NoUrl::Malformed),
            ("hooks.slack.com/services", NoUrl::Malformed),
            ("/services/T0", NoUrl::Scheme),
            ("ftp://a/b", NoUrl::Scheme),
            ("https://user:pw@a.example/b", NoUrl::UserInfo),
            ("https://a_b!/c", NoUrl::Host),
        ] {
            assert_eq!(parsed(url), Err(wrong), "{url}");
        }
    }
}
