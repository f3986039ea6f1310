//! Pages for people: the index, and the live demos where they are enabled.
//!
//! Invariant: no page loads anything from elsewhere, and none needs anything but the public interface.

use halley_wire::Code;
use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY},
};

use crate::{
    HttpConfig,
    answer::{Answer, whole},
    reject::Reject,
};

const STOCKS_HTML: &str = include_str!("../assets/demo/stocks.html");
const STOCKS_CSS: &str = include_str!("../assets/demo/stocks.css");
const STOCKS_JS: &str = include_str!("../assets/demo/stocks.js");
const INDEX_HTML: &str = include_str!("../assets/index.html");

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
const JS: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'self'; connect-src 'self'";

/// Where the node's name goes in a page.
const NODE: &str = "{{node}}";
/// Where the nodes go that a page may connect to.
const NODES: &str = "{{nodes}}";
/// Where the index's link to the demos goes.
const DEMOS: &str = "{{demos}}";

/// The page at `/`.
pub(crate) fn index(config: &HttpConfig) -> Answer {
    let demos = if config.demos {
        "<li><a href=\"/demo/stocks\">A live stock ticker</a></li>"
    } else {
        "<li>Demos are off on this node.</li>"
    };
    let page = INDEX_HTML.replace(NODE, &escape(&config.node));
    page_of(config, HTML, page.replace(DEMOS, demos))
}

/// A page below `/demo`.
pub(crate) fn page(config: &HttpConfig, path: &str) -> Result<Answer, Reject> {
    if !config.demos {
        return Err(Reject::new(Code::NotFound, "demos are off on this node"));
    }
    match path {
        "/stocks" | "/stocks/" => {
            let page = STOCKS_HTML.replace(NODE, &escape(&config.node));
            Ok(page_of(config, HTML, page.replace(NODES, &nodes(config))))
        }
        "/stocks.css" => Ok(page_of(config, CSS, STOCKS_CSS.to_owned())),
        "/stocks.js" => Ok(page_of(config, JS, STOCKS_JS.to_owned())),
        _ => Err(Reject::new(Code::NotFound, "there is no such demo")),
    }
}

/// The nodes as a page reads them: `NAME=HOST:PORT`, separated by white space.
fn nodes(config: &HttpConfig) -> String {
    let nodes = config.nodes.iter();
    let nodes = nodes.map(|node| format!("{}={}", escape(&node.name), node.http));
    nodes.collect::<Vec<_>>().join(" ")
}

/// What pages may load and connect to: this node, and those that they go on with.
fn policy(config: &HttpConfig) -> HeaderValue {
    let others = config
        .nodes
        .iter()
        .map(|node| format!(" http://{}", node.http));
    let policy = others.fold(POLICY.to_owned(), |policy, other| policy + &other);
    HeaderValue::try_from(policy).expect("socket addresses are visible ASCII")
}

fn page_of(config: &HttpConfig, content_type: HeaderValue, body: String) -> Answer {
    let mut answer = whole(StatusCode::OK, content_type, body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy(config));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// `text` as it may stand in HTML, in attributes too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OtherNode;

    #[test]
    fn a_node_name_cannot_leave_its_place() {
        assert_eq!(
            escape("a\"><script>'&"),
            "a&quot;&gt;&lt;script&gt;&#39;&amp;"
        );
        assert!(STOCKS_HTML.contains(NODE) && INDEX_HTML.contains(NODE));
    }

    #[test]
    fn pages_load_nothing_from_elsewhere() {
        for asset in [STOCKS_HTML, STOCKS_CSS, STOCKS_JS, INDEX_HTML] {
            let outside = asset
                .replace("http://www.w3.org/2000/svg", "")
                .replace("`http://${", "");
            assert!(!outside.contains("http://") && !outside.contains("https://"));
        }
    }

    #[test]
    fn demos_are_not_found_where_they_are_off() {
        let mut config = HttpConfig::default();
        assert_eq!(
            page(&config, "/stocks").unwrap_err().rejection.code,
            Code::NotFound
        );
        config.demos = true;
        assert!(page(&config, "/stocks").is_ok() && page(&config, "/stocks.js").is_ok());
        assert!(page(&config, "/x").is_err() && page(&config, "").is_err());
    }

    #[test]
    fn a_page_may_go_on_with_the_nodes_it_is_told() {
        let mut config = HttpConfig {
            demos: true,
            ..HttpConfig::default()
        };
        assert!(STOCKS_HTML.contains(NODES) && policy(&config) == POLICY);
        config.nodes = ["127.0.0.1:8080", "[::1]:8081"]
            .map(|address| OtherNode {
                name: format!("n{}", address.len()),
                http: address.parse().expect("an address"),
            })
            .into();
        assert_eq!(nodes(&config), "n14=127.0.0.1:8080 n10=[::1]:8081");
        let policy = policy(&config);
        let policy = policy.to_str().expect("is ASCII");
        assert!(policy.ends_with("connect-src 'self' http://127.0.0.1:8080 http://[::1]:8081"));
    }
}
