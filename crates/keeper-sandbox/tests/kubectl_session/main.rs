//! What a first-time user does and sees, from nothing to nothing: the whole printed output is compared.
//!
//! With `KEEPER_E2E_KUBECONFIG` the same session is held on that cluster, and must read the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    unreachable_pub,
    reason = "helpers of tests"
)]

#[path = "../api_support/mod.rs"]
mod api_support;
#[path = "../support/mod.rs"]
mod support;
#[path = "../kubectl/tool.rs"]
mod tool;

use std::collections::BTreeMap;

use kube::Api;
use kube::api::{ApiResource, GroupVersionKind};
use regex_lite::{Captures, Regex};
use serde_json::json;

use tool::{Kubectl, Version, not_run};

const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: books.library.example.com}
spec:
  group: library.example.com
  scope: Namespaced
  names: {plural: books, kind: Book, shortNames: [bk]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Pages, type: integer, jsonPath: .spec.pages}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the book is.
            required: [title]
            properties:
              title: {type: string, description: What it is called., minLength: 1}
              pages: {type: integer, description: How long it is., minimum: 1, default: 100}
";

const BOOK: &str = "apiVersion: library.example.com/v1\nkind: Book\nmetadata: {name: first}\nspec: {title: Hello}\n";

/// What is typed, with what is fed to it. A line that starts with `...` is repeated until it succeeds or shows something
/// else than before, and only its last answer is shown.
const SESSION: &[(&str, &str)] = &[
    ("create deployment web --image=example.com/web:1 --replicas=2 --port=8080", ""),
    ("... rollout status deployment/web --timeout=60s", ""),
    ("get deployments", ""),
    ("get deployments -o wide", ""),
    ("get replicasets", ""),
    ("get pods", ""),
    ("get pods -l app=web -o name", ""),
    ("expose deployment web --port=80 --target-port=8080", ""),
    ("get service web", ""),
    ("describe service web --show-events=false", ""),
    ("label deployment web team=shop", ""),
    ("annotate deployment web note=mine", ""),
    ("get deployments --show-labels", ""),
    ("get deployment web -o yaml", ""),
    ("set image deployment/web web=example.com/web:2", ""),
    ("... rollout status deployment/web --timeout=60s", ""),
    ("rollout history deployment/web", ""),
    ("rollout undo deployment/web", ""),
    ("... rollout status deployment/web --timeout=60s", ""),
    ("get deployment web -o jsonpath={.spec.template.spec.containers[*].image}{\"\\n\"}", ""),
    ("describe deployment web --show-events=false", ""),
    ("scale deployment web --replicas=1", ""),
    ("wait --for=jsonpath={.status.replicas}=1 deployment/web --timeout=60s", ""),
    ("create configmap settings --from-literal=color=blue", ""),
    ("describe configmap settings --show-events=false", ""),
    ("create secret generic password --from-literal=word=guess", ""),
    ("get secret password -o custom-columns=NAME:.metadata.name,TYPE:.type,WORD:.data.word", ""),
    ("get configmap nothing", ""),
    ("get nonsense", ""),
    ("scale deployment nothing --replicas=1", ""),
    ("patch deployment web -p {\"spec\":{\"replicas\":-1}}", ""),
    ("create -f -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndatta: {}\n"),
    ("apply -f -", DEFINITION),
    ("wait --for=condition=Established crd/books.library.example.com --timeout=60s", ""),
    ("... get books", ""),
    ("... explain book.spec", ""),
    ("apply -f -", BOOK),
    ("get bk", ""),
    ("apply -f -", "apiVersion: library.example.com/v1\nkind: Book\nmetadata: {name: second}\nspec: {pages: 0}\n"),
    ("get book first -o yaml", ""),
    ("delete book first", ""),
    ("delete crd books.library.example.com", ""),
    ("delete service,deployment web", ""),
    ("delete configmap settings", ""),
    ("delete secret password", ""),
    ("get deployments,services -l app=web", ""),
];

/// The versions that the session is written down for.
const WRITTEN: [&str; 2] = ["1.32", "1.37"];

async fn hold(version: Version) {
    let (sandbox, client, _rest) = support::cluster(true, |_| {}).await;
    // A name that occurs nowhere else in what is shown.
    let namespace = format!("reader-{:08x}", rand::random::<u32>());
    let named = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    let namespaces = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
    support::create(&Api::all_with(client, &namespaces), named).await;
    let Some(k) = Kubectl::on(version, sandbox, &namespace).await else { return };
    if !WRITTEN.contains(&k.version.as_str()) {
        not_run(&format!(
            "the session with kubectl is written down for {}, not for {}",
            WRITTEN.join(" and "),
            k.version
        ));
        return k.stop().await;
    }
    let mut told = Told::new(&namespace);
    let mut session = String::new();
    for (line, stdin) in SESSION {
        let again = line.strip_prefix("... ");
        let shown = again.unwrap_or(line);
        let mut answer = k.output(shown, stdin).await;
        for _ in 0..100 {
            if again.is_none() || answer.0 == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            answer = k.output(shown, stdin).await;
        }
        let (code, out, err) = answer;
        // How often a wait looked before the end is the moment's.
        let out = if shown.starts_with("rollout status") { out.lines().next_back().unwrap_or_default() } else { &out };
        session.push_str(&told.normalised(&format!("$ kubectl {shown}\n{out}\n{err}")));
        if code != 0 {
            session.push_str(&format!("[exit code {code}]\n"));
        }
        session.push('\n');
    }
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("session-{}", k.version), session);
    });
    k.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_session_with_the_machines_kubectl() {
    hold(Version::Machine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_session_with_kubectl_1_37() {
    hold(Version::Newest).await;
}

/// What a server invents, under names that stay.
struct Told {
    namespace: String,
    names: BTreeMap<String, String>,
    patterns: Vec<(Regex, &'static str)>,
}

impl Told {
    fn new(namespace: &str) -> Self {
        let pattern = |text: &str, name| (Regex::new(text).unwrap(), name);
        Self {
            namespace: namespace.to_owned(),
            names: BTreeMap::new(),
            patterns: vec![
                pattern(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
                pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
                pattern(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<time>"),
                pattern(r#"resourceVersion: "\d+""#, "resourceVersion: <version>"),
                pattern(r"\b(127|10)\.\d+\.\d+\.\d+\b", "<address>"),
                pattern(r"(?m)(^|\s)(\d+m)?\d+s\b", "${1}<age>"),
            ],
        }
    }

    fn normalised(&mut self, text: &str) -> String {
        let mut text = text.replace(&self.namespace, "<namespace>");
        for (pattern, name) in &self.patterns {
            text = pattern.replace_all(&text, *name).into_owned();
        }
        let names = &mut self.names;
        let made = Regex::new(r"\bweb-[0-9a-f]{8,10}(-[a-z0-9]{5})?\b").unwrap();
        let text = made.replace_all(&text, |found: &Captures<'_>| {
            let next = names.len() + 1;
            let kind = if found.get(1).is_some() { "pod" } else { "set" };
            names.entry(found[0].to_owned()).or_insert_with(|| format!("web-<{kind} {next}>")).clone()
        });
        let mut lines: Vec<String> = text.lines().map(spaced).collect();
        lines.retain(|line| !line.is_empty());
        lines.join("\n") + "\n"
    }
}

/// A line without the widths of its columns.
fn spaced(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let mut words = String::new();
    let mut blanks = 0;
    for c in line.trim().chars() {
        match c {
            ' ' | '\t' => blanks += 1,
            c => {
                words.push_str(match blanks {
                    0 => "",
                    1 => " ",
                    _ => "  ",
                });
                blanks = 0;
                words.push(c);
            }
        }
    }
    format!("{}{words}", &line[..indent])
}
