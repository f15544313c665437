//! Paths that lead out, sources that name other people's files, links, names that would be headers.

use std::path::Path;

use outlay_server::doors::Rules;
use serde_json::json;

use super::*;

const SECRET: &str = "what nobody may read";

/// A server beside whose artifacts lies a secret, with one run.
async fn house() -> (House, String) {
    let house = House::new().await;
    std::fs::write(house.folder.path().join("secret"), SECRET).expect("writes");
    let run = house
        .call("runs/create", &[], &json!({"experiment_id": "0"}))
        .await
        .json();
    let run = run["run"]["info"]["run_id"].as_str().expect("is one");
    let run = run.to_owned();
    let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/a.txt");
    assert_eq!(house.send("PUT", &path, &[], "fine").await.status, 200);
    (house, run)
}

/// Ways to write a path that leads out of the artifacts, as seen from a folder some names deep.
fn ways_out() -> Vec<String> {
    let mut ways = vec![
        "/etc/passwd".to_owned(),
        "%2Fetc%2Fpasswd".to_owned(),
        "%252Fetc%252Fpasswd".to_owned(),
        "file:///etc/passwd".to_owned(),
        "file:%2F%2F%2Fetc%2Fpasswd".to_owned(),
        "C:%5Cwindows%5Cwin.ini".to_owned(),
        "x%00/../../secret".to_owned(),
        ".outlay-aside-0".to_owned(),
    ];
    let up = [
        "..",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%252e%252e",
        "%25252e%25252e",
        "..%c0%af",
        "%c0%ae%c0%ae",
        "%uff0e%uff0e",
        "..;",
        "..%00",
        "....//..",
    ];
    let slash = ["/", "%2f", "%252f", "%25252f", "%5c", "\\", "//", "/./"];
    for up in up {
        for slash in slash {
            for n_up in [1, 2, 4, 5, 8] {
                let path = [up].repeat(n_up).join(slash);
                ways.push(format!("{path}{slash}secret"));
                if n_up == 8 {
                    ways.push(format!("{path}{slash}etc{slash}passwd"));
                    ways.push(format!("model{slash}{path}{slash}secret"));
                }
            }
        }
    }
    ways
}

fn untouched(house: &House) {
    let root = house.folder.path();
    let secret = std::fs::read_to_string(root.join("secret")).expect("is there");
    assert_eq!(secret, SECRET);
    let mut names: Vec<String> = std::fs::read_dir(root)
        .expect("is there")
        .map(|entry| {
            entry
                .expect("is readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with("ledger.db"))
        .collect();
    names.sort();
    assert_eq!(names, ["artifacts", "secret"]);
}

#[tokio::test]
async fn no_path_leads_out_of_the_artifacts() {
    let (house, run) = house().await;
    let root = "/api/2.0/mlflow-artifacts";
    for way in ways_out() {
        let query = way.replace('\\', "%5C");
        for path in [
            format!("{root}/artifacts/{way}"),
            format!("{root}/artifacts/0/{run}/artifacts/{way}"),
            format!("{root}/artifacts?path={query}"),
            format!("/get-artifact?run_uuid={run}&path={query}"),
            format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path={query}"),
        ] {
            let reply = house.get(&path, &[]).await;
            assert!(
                !reply.body.contains(SECRET) && !reply.body.contains("root:"),
                "{path} {reply:?}"
            );
            let lists = reply.body.contains("ledger.db") || reply.body.contains("\"etc\"");
            assert!(!lists, "{path} {reply:?}");
        }
        for (method, path) in [
            ("PUT", format!("{root}/artifacts/{way}")),
            ("DELETE", format!("{root}/artifacts/{way}")),
            ("POST", format!("{root}/mpu/create/{way}")),
            (
                "POST",
                format!("/api/2.0/mlflow/upload-artifact?run_uuid={run}&path={query}"),
            ),
        ] {
            let kind = "Content-Type: application/json";
            let reply = house.send(method, &path, &[kind], "{\"a\":1}").await;
            assert!(reply.status != 500, "{method} {path} {reply:?}");
        }
    }
    untouched(&house);
    // The root itself is nobody's to remove.
    house
        .send("DELETE", &format!("{root}/artifacts/"), &[], "")
        .await;
    house
        .send("DELETE", &format!("{root}/artifacts/."), &[], "")
        .await;
    assert!(house.folder.path().join("artifacts").exists());
}

#[tokio::test]
#[cfg(unix)]
async fn no_link_leads_out_of_the_artifacts() {
    let (house, run) = house().await;
    let folder = house
        .folder
        .path()
        .join("artifacts/0")
        .join(&run)
        .join("artifacts");
    std::os::unix::fs::symlink(house.folder.path().join("secret"), folder.join("file"))
        .expect("links");
    std::os::unix::fs::symlink("/etc", folder.join("etc")).expect("links");
    std::os::unix::fs::symlink(house.folder.path().join("new"), folder.join("dangling"))
        .expect("links");
    let root = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts");
    for name in ["file", "etc/passwd", "etc/hostname", "dangling"] {
        let reply = house.get(&format!("{root}/{name}"), &[]).await;
        assert_eq!(reply.status, 400, "{name} {reply:?}");
        let reply = house.send("PUT", &format!("{root}/{name}"), &[], "x").await;
        assert_eq!(reply.status, 400, "{name} {reply:?}");
    }
    let list = format!("/api/2.0/mlflow/artifacts/list?run_id={run}");
    let listed = house.get(&list, &[]).await;
    assert!(!listed.body.contains("etc") && !listed.body.contains("dangling"));
    let listed = house.get(&format!("{list}&path=etc"), &[]).await;
    assert!(!listed.body.contains("passwd"), "{listed:?}");
    house.send("DELETE", &format!("{root}/etc"), &[], "").await;
    assert!(Path::new("/etc").exists());
    untouched(&house);
}

#[tokio::test]
async fn a_version_has_no_files_but_those_of_its_run() {
    let (house, run) = house().await;
    let other = house
        .call("runs/create", &[], &json!({"experiment_id": "0"}))
        .await
        .json();
    let other = other["run"]["info"]["run_id"].as_str().expect("is one");
    for name in ["m", "n"] {
        let made = house
            .call("registered-models/create", &[], &json!({"name": name}))
            .await;
        assert_eq!(made.status, 200);
    }
    let own = format!("mlflow-artifacts:/0/{run}/artifacts");
    for source in [
        "file:///etc".to_owned(),
        "file://localhost/etc".to_owned(),
        "FILE:///etc".to_owned(),
        "file:/etc".to_owned(),
        "/etc".to_owned(),
        "etc".to_owned(),
        "../../etc".to_owned(),
        format!("{own}/../../../.."),
        format!("{own}/%2e%2e/%2e%2e/secret"),
        format!("{own}/%252e%252e"),
        format!("{own}/..\\..\\secret"),
        format!("{own}#/../../secret"),
        format!("{own}?/../../secret"),
        format!("mlflow-artifacts:/0/{other}/artifacts"),
        format!("mlflow-artifacts://evil/0/{other}/artifacts"),
        format!(
            "http://{}/api/2.0/mlflow-artifacts/artifacts/0/{other}",
            house.address
        ),
        format!("runs:/{other}/model"),
        format!("runs:/{run}/../{other}/model"),
        "models:/nothing/1".to_owned(),
        "models:/m".to_owned(),
        "models:/m/../n/1".to_owned(),
        "models:/m@none".to_owned(),
        "dummy-source".to_owned(),
    ] {
        let body = json!({"name": "m", "source": source, "run_id": run});
        let made = house.call("model-versions/create", &[], &body).await;
        // What may be kept names nothing of this machine.
        if made.status == 200 {
            let version = made.json()["model_version"]["version"].clone();
            let version = version.as_str().expect("is one").to_owned();
            for path in ["passwd", "etc/passwd", "secret", "../secret", "a.txt"] {
                let ask =
                    format!("/model-versions/get-artifact?name=m&version={version}&path={path}");
                let reply = house.get(&ask, &[]).await;
                assert!(
                    !reply.body.contains(SECRET) && !reply.body.contains("root:"),
                    "{source} {path} {reply:?}"
                );
            }
        }
    }
    // A chain of models ends at the first one's own files.
    let body = json!({"name": "n", "source": format!("{own}/model"), "run_id": run});
    let made = house.call("model-versions/create", &[], &body).await;
    assert_eq!(made.status, 200, "{made:?}");
    let body = json!({"name": "m", "source": "models:/n/1"});
    let made = house.call("model-versions/create", &[], &body).await;
    assert_eq!(made.status, 200, "{made:?}");
    let version = made.json()["model_version"]["version"].clone();
    let version = version.as_str().expect("is one");
    let ask =
        |path: &str| format!("/model-versions/get-artifact?name=m&version={version}&path={path}");
    assert_eq!(house.get(&ask("a.txt"), &[]).await.body, "fine");
    for way in ways_out() {
        let path = ask(&way.replace('\\', "%5C"));
        let reply = house.get(&path, &[]).await;
        assert!(
            !reply.body.contains(SECRET) && !reply.body.contains("root:"),
            "{path}"
        );
    }
    let stolen = json!({"name": "m", "source": "models:/n/1", "run_id": other});
    let reply = house.call("model-versions/create", &[], &stolen).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    untouched(&house);
}

#[tokio::test]
async fn places_that_a_client_chooses_are_not_read() {
    let (house, _) = house().await;
    for place in ["file:///etc", "/etc", "file:///", "mlflow-artifacts:/../.."] {
        let body = json!({"name": format!("at {place}"), "artifact_location": place});
        let made = house.call("experiments/create", &[], &body).await;
        if made.status != 200 {
            continue;
        }
        let id = made.json()["experiment_id"].clone();
        let run = house
            .call("runs/create", &[], &json!({"experiment_id": id}))
            .await
            .json();
        let run = run["run"]["info"]["run_id"]
            .as_str()
            .expect("is one")
            .to_owned();
        for path in [
            "passwd",
            "etc/passwd",
            "../../passwd",
            "../../../etc/passwd",
        ] {
            let reply = house
                .get(&format!("/get-artifact?run_id={run}&path={path}"), &[])
                .await;
            assert!(!reply.body.contains("root:"), "{place} {path} {reply:?}");
        }
        let path = format!("/api/2.0/mlflow/upload-artifact?run_uuid={run}&path=outlay-test");
        let reply = house.send("POST", &path, &[], "x").await;
        assert_ne!(reply.status, 200, "{place} {reply:?}");
        let listed = house
            .get(&format!("/api/2.0/mlflow/artifacts/list?run_id={run}"), &[])
            .await;
        assert!(!listed.body.contains("passwd"), "{place} {listed:?}");
    }
    assert!(!Path::new("/etc/outlay-test").exists());
}

#[tokio::test]
async fn a_name_of_a_file_is_no_header_and_its_text_no_page() {
    let (house, run) = house().await;
    let root = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts");
    for name in [
        "a%0d%0aSet-Cookie:%20evil=1",
        "a%0aX: y",
        "a%0d%0a%0d%0a<script>",
    ] {
        let path = format!("{root}/{}", name.replace(' ', "%20"));
        assert_eq!(
            house.send("PUT", &path, &[], "x").await.status,
            400,
            "{name}"
        );
        let reply = house.get(&path, &[]).await;
        assert!(
            !reply.head.to_ascii_lowercase().contains("evil"),
            "{reply:?}"
        );
    }
    let name = "q%22;%20filename=evil.html;%20x=%22%C3%A9.html";
    let path = format!("{root}/{name}");
    let page = "<script>alert(1)</script>";
    assert_eq!(house.send("PUT", &path, &[], page).await.status, 200);
    let reply = house.get(&path, &[]).await;
    assert_eq!(reply.status, 200);
    let disposition = reply.header("content-disposition").expect("has one");
    assert!(
        disposition.starts_with("attachment; filename=\"q_"),
        "{disposition}"
    );
    assert_eq!(disposition.matches('"').count(), 2, "{disposition}");
    let policy = reply.header("content-security-policy").expect("has one");
    assert!(policy.contains("sandbox"), "{policy}");
    for name in ["x.html", "x.svg", "x.xhtml", "x.js"] {
        let path = format!("{root}/{name}");
        house.send("PUT", &path, &[], page).await;
        let reply = house.get(&path, &[]).await;
        // Whatever it says to be, it is saved and not shown.
        let disposition = reply.header("content-disposition").unwrap_or_default();
        assert!(disposition.starts_with("attachment"), "{reply:?}");
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("sandbox"), "{reply:?}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn files_are_as_large_as_is_allowed() {
    let rules = Rules {
        max_artifact_bytes: Some(1000),
        ..Rules::default()
    };
    let house = House::with(rules, now_us).await;
    let path = "/api/2.0/mlflow-artifacts/artifacts/0/r/x";
    let fits = "x".repeat(1000);
    assert_eq!(house.send("PUT", path, &[], &fits).await.status, 200);
    let large = "y".repeat(1001);
    assert_eq!(house.send("PUT", path, &[], &large).await.status, 400);
    // One that does not say its length is cut off.
    let mut chunked = format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for _ in 0..3 {
        chunked.push_str(&format!("{:x}\r\n{}\r\n", 500, "z".repeat(500)));
    }
    chunked.push_str("0\r\n\r\n");
    let reply = raw(house.address, chunked.as_bytes()).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(house.get(path, &[]).await.body, fits);
    // Neither is any other body without an end.
    let huge = "POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{";
    assert_eq!(raw(house.address, huge.as_bytes()).await.status, 400);
    for odd in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ] {
        let reply = raw(house.address, odd.as_bytes()).await;
        let answers = reply.body.matches("HTTP/1.1 200").count();
        assert!(reply.status >= 400 && answers == 0, "{odd} {reply:?}");
    }
}
