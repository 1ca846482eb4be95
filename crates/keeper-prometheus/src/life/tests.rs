use super::*;
use crate::answer::Answer;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

const BORN: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BORN + second).unwrap()
}

fn pod(name: &str) -> Pod {
    let (namespace, uid) = ("shop".into(), format!("uid-of-{name}"));
    Pod { namespace, name: name.into(), uid, address: None, created: at(0) }
}

fn look(second: i64) -> Look {
    let window = Window { from: at(0), to: at(second) };
    Look { workload: "web".into(), canary: pod("canary"), baseline: vec![pod("old")], window }
}

/// A series with its labels beside pod and namespace, and `(second, value)` samples.
fn row(name: &str, pod: &str, labels: &Value, samples: &[(i64, &str)]) -> Value {
    let mut metric =
        json!({"__name__": name, "pod": pod, "namespace": "shop", "job": "web", "instance": "10.0.0.1:80"});
    metric.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
    let values: Vec<_> = samples.iter().map(|(second, value)| json!([BORN + second, value])).collect();
    json!({"metric": metric, "values": values})
}

fn requests(code: &str, samples: &[(i64, &str)]) -> Value {
    row("requests_total", "canary", &json!({"code": code}), samples)
}

fn rows(rows: &[Value]) -> Vec<Row> {
    let body = json!({"status": "success", "data": {"resultType": "matrix", "result": rows}}).to_string();
    let answer = Answer::read(200, body.as_bytes()).unwrap();
    match answer.into_complete().unwrap() {
        Data::Matrix(rows) => rows,
        other => panic!("{other:?}"),
    }
}

/// Counts by side and code.
#[derive(Debug, Default)]
struct Sums(BTreeMap<String, f64>);

type Tested = Life<Sums>;

impl Tested {
    /// Counts an answer at this second; what the newest series are, or why they are not measured.
    fn sees(&mut self, second: i64, answer: &[Value]) -> Result<usize, String> {
        self.sees_as(&look(second), answer)
    }

    fn sees_as(&mut self, look: &Look, answer: &[Value]) -> Result<usize, String> {
        self.start_over_for(&look.canary.uid);
        let pods = [&look.canary, &look.baseline[0]];
        let labels = PodLabels { pod: "pod".into(), namespace: "namespace".into() };
        let newest = self.take(look, &pods, &labels, "requests_total", &rows(answer), |sums, side, series, by| {
            *sums.0.entry(format!("{side:?} {}", series.labels["code"])).or_default() += by;
        });
        newest.map(|series| series.len())
    }

    fn sum(&self, of: &str) -> f64 {
        self.counted.0.get(of).copied().unwrap_or_default()
    }
}

#[test]
fn the_first_sample_of_the_canary_counts_and_that_of_the_baseline_does_not() {
    let mut life = Tested::default();
    let old = row("requests_total", "old", &json!({"code": "200"}), &[(5, "90000"), (10, "90010"), (15, "90030")]);
    let canary = requests("200", &[(10, "7"), (15, "9")]);
    let errors = requests("500", &[(15, "2")]);
    assert_eq!(life.sees(16, &[old, canary, errors]), Ok(2));
    assert_eq!(life.sum("Canary 200"), 9.0);
    assert_eq!(life.sum("Canary 500"), 2.0, "a series that appears later began at zero");
    assert_eq!(life.sum("Baseline 200"), 30.0);
}

#[test]
fn samples_that_are_read_again_count_once() {
    let mut life = Tested::default();
    let _ = life.sees(16, &[requests("200", &[(5, "5"), (10, "8"), (15, "9")])]);
    let _ = life.sees(16, &[requests("200", &[(5, "5"), (10, "8"), (15, "9")])]);
    let _ = life.sees(21, &[requests("200", &[(10, "8"), (15, "9"), (20, "11")])]);
    assert_eq!(life.sum("Canary 200"), 11.0);
}

#[test]
fn a_reset_within_an_answer_is_seen_and_a_gap_loses_nothing() {
    let mut life = Tested::default();
    let _ = life.sees(31, &[requests("200", &[(5, "50"), (10, "80"), (15, "3"), (30, "10")])]);
    assert_eq!(life.sum("Canary 200"), 90.0);
}

#[test]
fn a_reset_hidden_between_two_samples_is_told_by_the_start_time() {
    let mut life = Tested::default();
    let start = row(PROCESS_START, "canary", &json!({}), &[(5, "100"), (10, "109")]);
    let _ = life.sees(11, &[requests("200", &[(5, "50"), (10, "60")]), start]);
    assert_eq!(life.sum("Canary 200"), 110.0);
}

#[test]
fn an_older_pod_of_the_same_name_does_not_count() {
    let mut life = Tested::default();
    let before = requests("500", &[(-20, "400"), (-5, "500")]);
    let mut other = row("requests_total", "canary", &json!({"code": "200"}), &[(5, "4"), (10, "5")]);
    other["metric"]["instance"] = json!("10.0.0.2:80");
    assert_eq!(life.sees(11, &[before, other]), Ok(1));
    assert_eq!((life.sum("Canary 200"), life.sum("Canary 500")), (5.0, 0.0));
    let next = Look { canary: Pod { uid: "another".into(), created: at(60), ..pod("canary") }, ..look(70) };
    assert_eq!(life.sees_as(&next, &[requests("200", &[(50, "9"), (65, "2")])]), Ok(1));
    assert_eq!(life.sum("Canary 200"), 2.0, "another canary starts at zero");
}

#[test]
fn an_older_pod_that_is_scraped_to_its_end_is_not_the_canary() {
    // It was deleted, and the canary created in its place, within the second that the creation time tells.
    let (errors, last) = ([(-3, "400"), (-1, "500"), (0, "653")], [(-1, "500"), (0, "653"), (1, "700")]);
    let mut life = Tested::default();
    let unknown = Err("the canary shows no requests_total yet".into());
    assert_eq!(life.sees(0, &[requests("500", &errors)]), unknown);
    assert_eq!(life.sees(1, &[requests("500", &last)]), unknown);
    let mut own = requests("200", &[(2, "90"), (3, "180")]);
    own["metric"]["instance"] = json!("10.0.0.2:80");
    // Later answers no longer reach back to where the older pod was before the canary.
    assert_eq!(life.sees(3, &[requests("500", &[(1, "700")]), own]), Ok(1));
    assert_eq!((life.sum("Canary 200"), life.sum("Canary 500")), (180.0, 0.0));
}

#[test]
fn a_canary_at_an_older_pods_address_counts_from_where_its_counters_began() {
    let mut life = Tested::default();
    let samples = [(-5, "400"), (0, "410"), (5, "20"), (10, "500")];
    assert_eq!(life.sees(11, &[requests("200", &samples)]), Ok(1));
    assert_eq!(life.sum("Canary 200"), 500.0, "also where it counts more at once than the older pod had");
    assert_eq!(life.sees(16, &[requests("200", &[&samples[..], &[(15, "510")]].concat())]), Ok(1), "read again");
    assert_eq!(life.sum("Canary 200"), 510.0);
    // As seldom as a counter that is higher at once: another start tells it.
    let start = row(PROCESS_START, "canary", &json!({}), &[(-5, "100"), (5, "200"), (10, "200")]);
    let mut life = Tested::default();
    assert_eq!(life.sees(11, &[requests("200", &[(-5, "4"), (5, "20"), (10, "50")]), start]), Ok(1));
    assert_eq!(life.sum("Canary 200"), 50.0);
}

#[test]
fn a_canary_that_seems_older_than_it_is_counts_after_a_minute() {
    // The server's clock is behind: the first sample seems to be from before the canary.
    let mut life = Tested::default();
    let samples = [(-2, "5"), (13, "30"), (28, "60"), (43, "90"), (58, "120"), (73, "150")];
    let seen = |until| samples.iter().filter(|(at, _)| *at <= until).copied().collect::<Vec<_>>();
    assert!(life.sees(43, &[requests("200", &seen(43))]).is_err());
    assert_eq!(life.sees(74, &[requests("200", &seen(74))]), Ok(1));
    assert_eq!(life.sum("Canary 200"), 150.0, "all of it");
}

#[test]
fn a_pod_that_is_gone_is_not_alive_by_its_last_samples() {
    let mut life = Tested::default();
    let samples = [(5, "1"), (10, "2"), (15, "3")];
    assert_eq!(life.sees(30, &[requests("200", &samples)]), Ok(1), "three scrapes");
    let why = life.sees(31, &[requests("200", &samples)]);
    assert_eq!(why, Err("the newest sample of requests_total is 16 s old: the canary is not scraped".into()));
    assert_eq!(life.sum("Canary 200"), 3.0, "what was counted stays");
}

#[test]
fn how_old_a_sample_may_be_follows_from_how_often_it_is_scraped() {
    for (spacing, alive, dead) in [(1, 10, 11), (15, 45, 46), (60, 180, 181), (600, 300, 301)] {
        let samples = [(1000, "1"), (1000 + spacing, "2"), (1000 + 2 * spacing, "3")];
        let newest = 1000 + 2 * spacing;
        assert_eq!(Tested::default().sees(newest + alive, &[requests("200", &samples)]), Ok(1), "{spacing}");
        assert!(Tested::default().sees(newest + dead, &[requests("200", &samples)]).is_err(), "{spacing}");
    }
}

#[test]
fn a_newest_value_that_no_counter_has_is_not_measured_and_loses_nothing() {
    let mut life = Tested::default();
    let odd = requests("200", &[(5, "5"), (10, "NaN")]);
    let why = Err("a value of requests_total is not a number".to_owned());
    assert_eq!(life.sees(11, std::slice::from_ref(&odd)), why);
    assert_eq!(life.sees(12, &[odd]), why, "as long as it is the newest");
    assert_eq!(life.sees(16, &[requests("200", &[(5, "5"), (10, "NaN"), (15, "9")])]), Ok(1));
    assert_eq!(life.sum("Canary 200"), 9.0);
}

#[test]
fn what_was_scraped_by_two_is_not_counted() {
    let samples = [(5, "1"), (10, "2"), (15, "3")];
    let other_job = row("requests_total", "canary", &json!({"code": "200", "job": "pods"}), &samples);
    let why = Tested::default().sees(16, &[requests("200", &samples), other_job]).unwrap_err();
    assert!(why.starts_with("the canary is scraped twice, as job pods and web"), "{why}");
    let replica =
        |name: &str, samples| row("requests_total", "canary", &json!({"code": "200", "replica": name}), samples);
    let (a, b) = ([(5, "1"), (10, "2")], [(7, "1"), (12, "2")]);
    let why = Tested::default().sees(16, &[replica("a", &a), replica("b", &b)]).unwrap_err();
    assert!(why.contains("two scrapers at once"), "{why}");
}

#[test]
fn two_ports_of_a_pod_are_counted_together() {
    let mut life = Tested::default();
    let mut other = requests("200", &[(7, "1"), (12, "3")]);
    other["metric"]["instance"] = json!("10.0.0.1:81");
    assert_eq!(life.sees(13, &[requests("200", &[(5, "10"), (10, "20")]), other]), Ok(2));
    assert_eq!(life.sum("Canary 200"), 23.0);
}

#[test]
fn without_samples_of_the_counter_nothing_is_measured() {
    let start = row(PROCESS_START, "canary", &json!({}), &[(5, "100")]);
    assert_eq!(Tested::default().sees(6, &[start]), Err("the canary shows no requests_total yet".into()));
    let mut native = requests("200", &[]);
    native["histograms"] = json!([[BORN, {"count": "1"}]]);
    assert!(Tested::default().sees(6, &[native]).unwrap_err().contains("native histogram"));
}

#[test]
fn a_question_begins_with_the_canary_and_reaches_a_little_behind_the_last() {
    let mut life = Tested::default();
    assert_eq!(life.from(look(60).window), at(-300), "and behind it, to see who had its name before");
    assert_eq!(life.from(look(3600).window), at(3600 - 900), "no more than fifteen minutes at first");
    let _ = life.sees(600, &[requests("200", &[(570, "1"), (585, "2"), (600, "3")])]);
    assert_eq!(life.from(look(605).window), at(600 - 60));
    assert_eq!(life.from(look(3600).window), at(600 - 60), "what was missed is asked for");
    let labels = PodLabels { pod: "pod".into(), namespace: "ns".into() };
    let selector = "handler=\"/a\"".parse().unwrap();
    let wanted = Wanted { metric: "x_total", selector: &selector, baseline_pods: 1 };
    let asked = query(&[&pod("a.b"), &pod("c")], &labels, wanted, Window { from: at(0), to: at(2) }).unwrap();
    let expected = r#"{__name__=~"x_total|process_start_time_seconds",pod=~"a\\.b|c",ns="shop",handler="/a"}[2001ms]"#;
    assert_eq!(asked, expected);
    assert!(query(&[&pod("a\"b")], &labels, wanted, look(1).window).is_err());
}

/// What a counter shows at each scrape, and how much it really counted up to then. A step below zero is a restart.
fn history(steps: &[i32]) -> (Vec<f64>, Vec<f64>) {
    let (mut value, mut total) = (0.0, 0.0);
    let mut walk = |step: &i32| {
        let by = f64::from(step.unsigned_abs());
        // A restarted counter must be seen to be lower.
        let restarts = *step < 0 && by < value;
        value = if restarts { by } else { value + by };
        total += by;
        (value, total)
    };
    steps.iter().map(&mut walk).unzip()
}

proptest! {
    #[test]
    fn however_often_it_is_looked_at_each_increment_counts_once(
        steps in vec(-50..500_i32, 2..120),
        interval in prop::sample::select(vec![1_i64, 5, 15, 60]),
        gaps in vec(any::<prop::sample::Index>(), 0..10),
        looks in vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let (values, totals) = history(&steps);
        let scrape = |index: usize| (i64::try_from(index).unwrap() + 1) * interval;
        let text: Vec<_> = values.iter().enumerate().map(|(index, value)| (scrape(index), value.to_string())).collect();
        // A gap hides no restart: where one is hidden, what came before it can't be known.
        let falls = |index: usize| index > 0 && index < values.len() && values[index] < values[index - 1];
        let missed: BTreeSet<usize> = gaps.iter().map(|gap| gap.index(values.len())).collect();
        let kept = |index: usize| !missed.contains(&index) || falls(index) || falls(index + 1) || index + 1 == values.len();
        let seen: Vec<_> = text.iter().enumerate().filter(|(index, _)| kept(*index)).map(|(_, sample)| sample).collect();
        let mut when: BTreeSet<usize> = looks.iter().map(|look| look.index(values.len())).collect();
        when.insert(values.len() - 1);

        let mut life = Tested::default();
        for index in when {
            let now = look(scrape(index));
            life.start_over_for(&now.canary.uid);
            let from = life.from(now.window).as_second() - BORN;
            // What the server would answer: this window, and nothing that is yet to come.
            let answer: Vec<_> = seen.iter().filter(|(second, _)| (from..=scrape(index)).contains(second))
                .map(|(second, value)| (*second, value.as_str())).collect();
            let _ = life.sees_as(&now, &[requests("200", &answer)]);
        }
        // An operator that came late, to a canary older than its first question, lacks only what restarts before hid.
        let all_in_reach = looks.iter().any(|look| scrape(look.index(values.len())) <= FIRST_WINDOW.as_secs())
            || scrape(values.len() - 1) <= FIRST_WINDOW.as_secs();
        prop_assume!(all_in_reach);
        prop_assert_eq!(life.sum("Canary 200"), *totals.last().unwrap());
    }
}
