//! Lists with selectors, in pages, at versions; and watches.

use serde_json::json;

use super::super::script::{MERGE, Script, TABLE};
use super::core;

fn secret(name: &str, labels: serde_json::Value) -> serde_json::Value {
    json!({ "metadata": { "name": name, "labels": labels }, "data": {} })
}

/// Percent-encodes what a query can't hold.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

pub(crate) fn selectors() -> Script {
    let mut script = Script::new("selectors");
    script.post(core("secrets"), secret("a", json!({ "app": "shop", "tier": "front", "n": "5" })));
    script.post(core("secrets"), secret("b", json!({ "app": "shop", "tier": "back" })));
    script.post(core("secrets"), secret("c", json!({ "app": "cart", "example.com/x": "" })));
    script.post(core("secrets"), json!({ "metadata": { "name": "d" }, "type": "example.com/t" }));
    for selector in [
        "app=shop",
        "app==shop",
        "app!=shop",
        "app",
        "!app",
        "app in (shop,cart)",
        "app in (shop)",
        "app notin (shop)",
        "app in (shop),tier notin (front)",
        "n>4",
        "n>5",
        "n<6",
        "n<five",
        "example.com/x",
        "example.com/x=",
        "app=shop,tier=back",
        " app = shop , tier = back ",
        "tier,!n",
        "app in ()",
        "app in (,shop)",
        ",app",
        "app,",
        "app=",
        "!",
        "=",
        "a b",
        "app in",
        "app in shop",
        "app=in",
        "in=app",
        "app=shop=cart",
        "app=a b",
        "not/a/key",
        "(app)",
        "app in (shop",
        "app)",
        "A=%",
        "notin",
        "x in (notin)",
        "app!shop",
        "app<>1",
        "app=not!valid",
    ] {
        script
            .get(core(&format!("secrets?labelSelector={}", encoded(selector))))
            .accept("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
    }
    for selector in [
        "metadata.name=a",
        "metadata.name!=a",
        "metadata.name==b",
        "type=example.com/t",
        "type!=example.com/t",
        "metadata.name=a,type=Opaque",
        "metadata.namespace={ns}",
        "metadata.namespace=other",
        "metadata.name",
        "metadata.name=",
        "spec.x=1",
        "=",
        ",",
        "metadata.name=a=b",
        "metadata.name>1",
    ] {
        script
            .get(core(&format!("secrets?fieldSelector={}", selector.replace('=', "%3D").replace('>', "%3E"))))
            .accept("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
    }
    script
        .get(core(&format!(
            "secrets?labelSelector={}",
            (0..2000).map(|i| format!("k{i}%21%3Dv")).collect::<Vec<_>>().join(",")
        )))
        .accept(TABLE);
    script
}

pub(crate) fn pages() -> Script {
    let mut script = Script::new("pages");
    for name in ["a", "b", "c", "d", "e"] {
        script.post(core("secrets"), secret(name, json!({ "odd": if "ace".contains(name) { "yes" } else { "no" } })));
    }
    script.get(core("secrets?limit=2")).save("one");
    script.post(core("secrets"), secret("bb", json!({})));
    script.get(core("secrets?limit=2&continue=${one:/metadata/continue}")).save("two");
    script.get(core("secrets?limit=2&continue=${two:/metadata/continue}"));
    script.get(core("secrets?limit=2")).accept(TABLE);
    script.get(core("secrets?limit=6"));
    script.get(core("secrets?limit=100"));
    script.get(core("secrets?limit=0"));
    script.get(core("secrets?limit=-1"));
    script.get(core("secrets?limit=x"));
    script.get(core("secrets?limit=1&labelSelector=odd%3Dyes")).save("odd");
    script.get(core("secrets?limit=5&labelSelector=odd%3Dyes&continue=${odd:/metadata/continue}"));
    script.get(core("secrets?continue=nonsense"));
    script.get(core("secrets?limit=2&resourceVersion=1&continue=${one:/metadata/continue}"));
    script.get(core("secrets?resourceVersion=0")).accept(TABLE).until(200);
    script.get(core("secrets?resourceVersion=${one:/metadata/resourceVersion}&resourceVersionMatch=Exact"));
    script.get(core("secrets?resourceVersion=${one:/metadata/resourceVersion}&resourceVersionMatch=NotOlderThan"));
    script.get(core("secrets?resourceVersion=${one:/metadata/resourceVersion}"));
    script.get(core("secrets?resourceVersionMatch=Exact"));
    script.get(core("secrets?resourceVersionMatch=NotOlderThan"));
    script.get(core("secrets?resourceVersion=0&resourceVersionMatch=Exact"));
    script.get(core("secrets?resourceVersion=1&resourceVersionMatch=Nonsense"));
    script.get(core("secrets?resourceVersion=nonsense"));
    script.get(core("secrets?resourceVersion=-1"));
    script.get(core("secrets?resourceVersion=9000000000000000"));
    script.get(core("secrets/a?resourceVersion=9000000000000000"));
    script.get(core("secrets/a?resourceVersion=nonsense"));
    script.get(core("secrets/a?resourceVersion=0"));
    script
}

pub(crate) fn watches() -> Script {
    let mut script = Script::new("watches");
    let path = |query: &str| core(&format!("secrets?watch=1{query}"));
    script.post(core("secrets"), secret("a", json!({ "app": "shop" }))).save("a");
    script.post(core("secrets"), secret("b", json!({ "app": "cart" }))).save("b");
    script.patch(core("secrets/b"), MERGE, json!({ "metadata": { "labels": { "app": "shop" } } }));
    script.patch(core("secrets/b"), MERGE, json!({ "metadata": { "labels": { "app": "cart" } } }));
    script.patch(core("secrets/a"), MERGE, json!({ "data": { "k": "dg==" } }));
    script.delete(core("secrets/a"), json!(null));
    script.post(core("secrets"), secret("a", json!({ "app": "shop" })));
    script.get(core("secrets")).save("list");
    let from = "&resourceVersion=${a:/metadata/resourceVersion}";
    script.watch(path(from), 6);
    script.watch(path(&format!("{from}&labelSelector=app%3Dshop")), 5);
    script.watch(path(&format!("{from}&labelSelector=app%3Dcart")), 3);
    script.watch(path(&format!("{from}&fieldSelector=metadata.name%3Da")), 3);
    script.watch(path(&format!("{from}&fieldSelector=metadata.name%3Da")), 3).accept(TABLE);
    script.watch(core(&format!("secrets/a?watch=1{from}")), 3);
    script.watch(format!("/api/v1/watch/namespaces/{{ns}}/secrets?{}", &from[1..]), 2);
    script.watch(path("&resourceVersion=0"), 2);
    script.watch(path(""), 2);
    script.watch(path("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"), 3);
    script
        .watch(path("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"), 3)
        .accept(TABLE);
    script.watch(path("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"), 2);
    script.watch(path("&sendInitialEvents=true"), 1);
    script.watch(path("&sendInitialEvents=true&resourceVersionMatch=Exact"), 1);
    script.watch(path("&sendInitialEvents=nonsense&resourceVersionMatch=NotOlderThan"), 2);
    script.watch(path("&resourceVersionMatch=NotOlderThan"), 1);
    script.watch(path("&resourceVersion=nonsense"), 1);
    script.watch(path("&resourceVersion=-1"), 1);
    script.watch(path("&resourceVersion=9000000000000000"), 1);
    script.watch(path("&resourceVersion=${list:/metadata/resourceVersion}&timeoutSeconds=1"), 1);
    script.watch(path("&timeoutSeconds=nonsense"), 1);
    script.watch(path("&fieldSelector=spec.x%3D1"), 1);
    script.watch(path("&labelSelector=a%20b"), 1);
    script.watch(path("&limit=1&resourceVersion=0"), 2);
    script.get(core("secrets?watch=false&labelSelector=app%3Dshop"));
    script.get(core("secrets?watch=0&labelSelector=app%3Dshop"));
    script
}
