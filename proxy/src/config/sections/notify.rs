//! `[[notify]]`: who is told of what, and how. URLs are secrets and stand in no fault.

use std::{collections::BTreeSet, time::Duration};

use super::{secrets, server};
use crate::config::{
    Format, Scheme, Topic, Webhook, WebhookUrl,
    reader::{Node, Table},
};

/// How long one try may take where the file does not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// All webhooks.
pub(super) fn webhooks(root: &Table<'_>) -> Vec<Webhook> {
    let tables = root.get("notify").map(|node| node.tables()).unwrap_or_default();
    tables.iter().filter_map(webhook).collect()
}

fn webhook(table: &Table<'_>) -> Option<Webhook> {
    let url = table.required("url", "{ env = \"SLACK_WEBHOOK\" }").and_then(|node| url(&node));
    let events = table.get("events").map_or_else(every, |node| events(&node));
    let formats = [("json", Format::Json), ("slack", Format::Slack)];
    let format = table.get("format").map(|node| node.choice(&formats));
    let timeout = table.get("timeout").map_or(Some(USUAL_TIMEOUT), |node| server::positive(&node));
    let ca = table.get("ca").map(|node| {
        if url.as_ref().is_some_and(|url| url.scheme() == Scheme::Http) {
            node.fault("is not looked at for `http://`", "remove it, or use `https://`");
        }
        secrets::roots(&node)
    });
    table.finish();
    let url = url?;
    let format = format.unwrap_or_else(|| Some(url.usual_format()))?;
    let ca = match ca {
        Some(read) => Some(read?),
        None => None,
    };
    Some(Webhook { url, events, format, timeout: timeout?, ca })
}

fn url(node: &Node<'_>) -> Option<WebhookUrl> {
    let secret = secrets::secret(node)?;
    match WebhookUrl::parse(&secret) {
        Ok(url) => {
            if url.scheme() == Scheme::Http && !url.is_loopback() {
                node.warn("whoever sits on the way can read along, and learns the URL", "use `https://`");
            }
            Some(url)
        }
        Err(wrong) => {
            node.fault(wrong.to_string(), "write `https://HOST/PATH` where the secret is kept");
            None
        }
    }
}

fn every() -> BTreeSet<Topic> {
    Topic::ALL.into_iter().map(|(_, topic)| topic).collect()
}

fn events(node: &Node<'_>) -> BTreeSet<Topic> {
    let items = node.list();
    if items.is_empty() {
        node.fault("names no event, so nothing would be sent", "name some, or remove it for all of them");
    }
    items.iter().filter_map(|item| item.choice(&Topic::ALL)).collect()
}
