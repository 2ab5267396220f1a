//! Deliveries of webhooks of a code host, in the shape that GitHub sends, about people who do not exist.
//!
//! The same accounts, organisations and repositories stand in many places and in copies that tell more or less:
//! that is what the tenant `github` is there to bring together.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::time::{MINUTE_MS, START_MS, rfc3339};
use super::world::pick;

const USERS: [(&str, u64); 7] = [
    ("ada-wren", 9_100_001),
    ("bo-larch", 9_100_002),
    ("cy-moss", 9_100_003),
    ("dot-fern", 9_100_004),
    ("eb-reed", 9_100_005),
    ("flo-heath", 9_100_006),
    ("gil-sedge", 9_100_007),
];
const BOT: (&str, u64) = ("tidybot[bot]", 9_200_001);
const ORGANIZATIONS: [(&str, u64); 2] = [("quarry-works", 9_300_001), ("tin-lantern", 9_300_002)];

/// A repository and what changes about it.
struct Repository {
    id: u64,
    name: &'static str,
    /// An index into [`ORGANIZATIONS`], or else into [`USERS`].
    owner: Result<usize, usize>,
    description: Option<&'static str>,
    stars: u32,
    issues: u32,
    updated_ms: i64,
}

/// The sample: one delivery a line.
pub(crate) fn deliveries() -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let repository = |id, name, owner| Repository {
        id,
        name,
        owner,
        description: None,
        stars: 0,
        issues: 0,
        updated_ms: START_MS - 1000 * MINUTE_MS,
    };
    let mut repositories = [
        repository(9_400_001, "granite", Ok(0)),
        repository(9_400_002, "lamp", Ok(1)),
        repository(9_400_003, "dotfiles", Err(3)),
        repository(9_400_004, "slate", Ok(0)),
    ];
    let mut lines = Vec::new();
    let mut now_ms = START_MS;
    for number in 0..80u64 {
        now_ms += rng.random_range(1..30 * MINUTE_MS);
        let chosen = pick(&mut rng, &[0, 0, 0, 1, 1, 2, 3]);
        let repository = &mut repositories[chosen];
        if rng.random_range(0..3) == 0 {
            repository.updated_ms = now_ms;
            match rng.random_range(0..3) {
                0 => repository.stars += 1,
                1 => repository.issues += 1,
                _ => {
                    repository.description =
                        pick(&mut rng, &[None, Some("Stones, mostly"), Some("Light for old walls")])
                }
            }
        }
        let (event, payload) = delivery(&mut rng, number, &repositories[chosen], now_ms);
        let delivery = json!({
            "delivered_at": rfc3339(now_ms, 0),
            "event": event,
            "example": format!("{event}.payload.json"),
            "payload": payload,
        });
        serde_json::to_writer(&mut lines, &delivery).expect("a value has a JSON form, and memory takes it");
        lines.push(b'\n');
    }
    lines
}

fn delivery(rng: &mut ChaCha8Rng, number: u64, repository: &Repository, now_ms: i64) -> (&'static str, Value) {
    let sender = account(pick(rng, &USERS), "User");
    let other = account(pick(rng, &USERS), "User");
    let at = rfc3339(now_ms, 0);
    let mut payload = json!({ "repository": full(repository), "sender": sender });
    if let Ok(index) = repository.owner {
        payload["organization"] = organization(index);
    }
    let event = match rng.random_range(0..8) {
        0 => {
            payload["action"] = json!("created");
            payload["starred_at"] = json!(at);
            "star"
        }
        1 => {
            payload["action"] = json!("opened");
            payload["issue"] = json!({
                "id": 9_500_000 + number, "number": number, "title": "It rattles", "state": "open",
                "user": sender, "assignee": other, "assignees": [other], "labels": [], "created_at": at, "updated_at": at,
            });
            "issues"
        }
        2 => {
            // A push writes one instant as a number, and its commits name people without ids.
            payload["repository"]["created_at"] = json!(START_MS / 1000 - 86_400 * 30);
            payload["repository"]["pushed_at"] = json!(now_ms / 1000);
            payload["ref"] = json!("refs/heads/main");
            payload["pusher"] = json!({ "name": "ada-wren", "email": "ada-wren@example.com" });
            payload["commits"] =
                json!([{ "id": format!("{number:040x}"), "message": "Oil the hinge", "timestamp": at }]);
            "push"
        }
        3 => {
            payload["action"] = json!("opened");
            payload["pull_request"] = json!({
                "id": 9_600_000 + number, "number": number, "title": "Quieter hinges", "state": "open", "user": sender,
                "requested_reviewers": [other],
                "head": { "ref": "quiet", "user": other, "repo": full(repository) },
                "base": { "ref": "main", "user": owner(repository), "repo": full(repository) },
                "created_at": at, "updated_at": at,
            });
            "pull_request"
        }
        4 => {
            payload["action"] = json!("completed");
            payload["sender"] = account(BOT, "Bot");
            payload["check_run"] = json!({
                "id": 9_700_000 + number, "name": "tidy", "status": "completed", "conclusion": "success",
                "app": {
                    "id": 9_800_001, "slug": "tidybot", "name": "Tidybot", "owner": organization_account(0),
                    "created_at": "2023-05-01T08:00:00Z", "updated_at": "2023-09-01T08:00:00Z",
                },
                // A partial copy: what it does not carry stays as it was.
                "pull_requests": [{
                    "id": 9_600_000 + number, "number": number,
                    "base": { "ref": "main", "repo": {
                        "id": repository.id, "name": repository.name,
                        "url": format!("https://api.example.com/repos/{}", full_name(repository)),
                    } },
                }],
            });
            "check_run"
        }
        5 if repository.owner.is_ok() => {
            payload["action"] = json!("added");
            payload["scope"] = json!("team");
            payload["member"] = other;
            payload["team"] = json!({
                "id": 9_900_001, "name": "Masons", "slug": "masons", "privacy": "closed", "permission": "push",
                "description": "They lift things", "url": "https://api.example.com/teams/9900001",
            });
            // A membership is about people: no repository.
            payload.as_object_mut().expect("made as an object above").remove("repository");
            "membership"
        }
        6 => {
            payload["action"] = json!("created");
            payload["comment"] =
                json!({ "id": 9_510_000 + number, "user": other, "body": "Agreed.", "created_at": at });
            payload["issue"] = json!({
                "id": 9_500_000 + number, "number": number, "title": "It rattles", "state": "open", "user": sender,
                "created_at": at, "updated_at": at,
            });
            "issue_comment"
        }
        _ => {
            payload["action"] = json!("published");
            payload["release"] = json!({
                "id": 9_520_000 + number, "tag_name": format!("v0.{number}"), "author": sender, "published_at": at,
                "prerelease": false, "draft": false,
            });
            "release"
        }
    };
    (event, payload)
}

fn account((login, id): (&str, u64), kind: &str) -> Value {
    json!({
        "login": login, "id": id, "node_id": format!("N_{id}"), "type": kind, "site_admin": false,
        "url": format!("https://api.example.com/users/{login}"),
        "html_url": format!("https://example.com/{login}"),
        "avatar_url": format!("https://example.com/avatars/{id}?v=4"),
    })
}

/// An organisation in the place of an account: it owns something.
fn organization_account(index: usize) -> Value {
    account(ORGANIZATIONS[index], "Organization")
}

/// An organisation under its own name.
fn organization(index: usize) -> Value {
    let (login, id) = ORGANIZATIONS[index];
    json!({
        "login": login, "id": id, "node_id": format!("N_{id}"), "description": "",
        "url": format!("https://api.example.com/orgs/{login}"),
        "avatar_url": format!("https://example.com/avatars/{id}?v=4"),
    })
}

fn owner(repository: &Repository) -> Value {
    match repository.owner {
        Ok(index) => organization_account(index),
        Err(index) => account(USERS[index], "User"),
    }
}

fn full_name(repository: &Repository) -> String {
    let owner = match repository.owner {
        Ok(index) => ORGANIZATIONS[index].0,
        Err(index) => USERS[index].0,
    };
    format!("{owner}/{}", repository.name)
}

fn full(repository: &Repository) -> Value {
    json!({
        "id": repository.id, "node_id": format!("N_{}", repository.id), "name": repository.name,
        "full_name": full_name(repository), "private": false, "owner": owner(repository),
        "description": repository.description, "fork": false,
        "url": format!("https://api.example.com/repos/{}", full_name(repository)),
        "html_url": format!("https://example.com/{}", full_name(repository)),
        "created_at": "2024-01-31T00:00:00Z",
        "updated_at": rfc3339(repository.updated_ms, 0), "pushed_at": rfc3339(repository.updated_ms, 0),
        "homepage": null, "size": 12, "stargazers_count": repository.stars, "watchers_count": repository.stars,
        "language": "Rust", "has_issues": true, "has_wiki": false, "forks_count": 0, "archived": false, "disabled": false,
        "open_issues_count": repository.issues, "license": null, "default_branch": "main",
    })
}
