//! A bad upstream is a normal day: the run is logged and reported, and no model row is touched.

use tests::{Cluster, snapshot, sync};

#[test]
fn a_bad_answer_touches_no_row() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute("UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai'")
        .unwrap();
    let before = snapshot(&mut client);
    for (scenario, code, status, words) in [
        ("status=301&location=https://evil.example/", "58000", Some(301), "Redirects are not followed"),
        ("status=401&body={}", "58000", Some(401), "The catalogue needs no key"),
        ("status=404", "58000", Some(404), "Check model_access.url"),
        ("status=429&retry_after=3600", "58000", Some(429), "asks to wait 3600 s"),
        ("status=500&body=oops", "58000", Some(500), "It said: oops"),
        ("body=%3Chtml%3E", "22032", Some(200), "a web page"),
        ("body=", "22032", Some(200), "empty"),
        ("take=0", "02000", Some(200), "lists no models"),
        ("cut=1000", "08006", Some(200), "broke off"),
        ("bytes=16777217", "54000", Some(200), "larger than 16777216 bytes"),
        ("bytes=300000000", "54000", Some(200), "larger than 16777216 bytes"),
        ("catalogue=none", "58000", Some(404), "No such file"),
    ] {
        let (mut job, heard) = cluster.hearing(scenario);
        let run = sync(&mut job).unwrap();
        let error = run.error.unwrap_or_default();
        let warning = heard.try_recv().unwrap();
        assert_eq!(warning.severity(), "WARNING");
        let said = format!("{} {}", warning.message(), warning.detail().unwrap_or_default());
        assert!(said.contains(&cluster.upstream.url(scenario)), "it names the URL: {said}");
        assert!(warning.hint().is_some(), "it says what to do: {said}");
        assert_eq!(
            (run.outcome.as_str(), run.error_code.as_deref()),
            ("failed", Some(code)),
            "{scenario}: {error}"
        );
        assert_eq!(run.http_status, status, "{scenario}");
        assert!(error.contains(words), "{scenario}: {error}");
        assert_eq!(snapshot(&mut client), before, "{scenario}");
    }
    let logged: i64 = client.query_one("SELECT count(*) FROM model_access_sync_log", &[]).unwrap().get(0);
    assert_eq!(logged, 13);
}

#[test]
fn a_passing_fault_is_tried_again_within_the_deadline() {
    let cluster = Cluster::start();
    let run = sync(&mut cluster.fetching("status=503&retry_after=1&times=2")).unwrap();
    assert_eq!((run.outcome.as_str(), run.added), ("applied", 421));
    assert_eq!(cluster.upstream.requests(), 3);
    let run = sync(&mut cluster.fetching("status=429&retry_after=600&times=1")).unwrap();
    assert_eq!((run.outcome.as_str(), run.http_status), ("failed", Some(429)), "too long for the deadline");
    assert_eq!(cluster.upstream.requests(), 4);
    let run = sync(&mut cluster.fetching("status=503&retry_after=18446744073709551615")).unwrap();
    assert_eq!((run.outcome.as_str(), run.http_status), ("failed", Some(503)), "longer than any clock");
}

#[test]
fn nothing_listens_or_nothing_answers() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    for (url, code, words) in [
        ("http://127.0.0.1:1/", "08001", "cannot connect to http://127.0.0.1:1/"),
        ("https://catalogue.invalid/", "08001", "cannot resolve the host of https://catalogue.invalid/"),
    ] {
        client.batch_execute(&format!("SET model_access.url = '{url}'")).unwrap();
        let run = sync(&mut client).unwrap();
        assert_eq!(
            (run.outcome.as_str(), run.error_code.as_deref(), run.http_status),
            ("failed", Some(code), None)
        );
        assert!(run.error.as_deref().unwrap_or_default().contains(words), "{:?}", run.error);
    }
    let mut client = cluster.fetching("stall=body");
    client.batch_execute("SET model_access.timeout = '500ms'").unwrap();
    let run = sync(&mut client).unwrap();
    assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("failed", Some("08006")));
    assert!(run.error.unwrap_or_default().contains("within 0.5 s"));
}
