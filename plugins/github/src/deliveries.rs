//! From one delivery to its rows.
//!
//! A copy that carries every column is an upsert, any other a patch of what it carries: GitHub embeds everything from
//! a whole repository down to `{id, name, url}`, and later versions of its payloads add members that earlier ones
//! lack. What is known by no key is left out.

use std::borrow::Cow;

use silversmith_sdk::columns::{AnswerBuilder, Cell, Row};
use silversmith_sdk::normalise::parse_rfc3339;
use silversmith_sdk::plugin::{Operation, Refusal};
use silversmith_sdk::value::Value;

use crate::entities::{Column, DELIVERY, Kind, REFERENCES};
use crate::paths::{Node, Paths};

/// Reads deliveries into an answer.
#[derive(Debug)]
pub(crate) struct Deliveries<'a> {
    pub(crate) paths: &'a Paths,
    pub(crate) columns: &'a [Vec<Column>; 5],
    pub(crate) answer: &'a mut AnswerBuilder,
}

impl Deliveries<'_> {
    /// Adds the rows of one delivery, or says why it is refused.
    pub(crate) fn read(&mut self, root: Node<'_>, checksum: Option<&[u8]>) -> Result<(), Box<Refusal>> {
        if !root.is_object() {
            return refuse("no_delivery", "found no object, expected a delivery", "$");
        }
        let Some(event) = root.text(self.paths.event) else {
            return refuse("no_delivery", "found no text, expected the name of the event", "$.event");
        };
        let Some(payload) = root.object(self.paths.payload) else {
            return refuse("no_delivery", "found no object, expected the payload of a delivery", "$.payload");
        };
        let delivered_at = root.text(self.paths.delivered_at);
        let Some((seen_at, true)) = delivered_at.and_then(|text| parse_rfc3339(&text)) else {
            return refuse("bad_timestamp", "found no time, expected RFC 3339 with an offset", "$.delivered_at");
        };
        // Some deliveries were recorded with their envelope.
        let payload = match (payload.text(self.paths.event), payload.object(self.paths.payload)) {
            (Some(_), Some(inner)) => inner,
            _ => payload,
        };
        let gone = self.gone(&event, payload);
        self.walk(payload, gone.map(|(_, node)| node), seen_at)?;
        // The end comes after the other copies that the same delivery carries of what has ended.
        if let Some((kind, node)) = gone {
            self.copy(kind, node, Operation::Delete, seen_at)?;
        }
        let checksum = checksum.and_then(|bytes| std::str::from_utf8(bytes).ok());
        self.delivery(checksum, &event, seen_at, payload);
        Ok(())
    }

    /// Adds every object beneath `node` that is known by its shape, but for the one that is gone. The kit has bounded
    /// the depth.
    fn walk(&mut self, node: Node<'_>, gone: Option<Node<'_>>, seen_at: i64) -> Result<(), Box<Refusal>> {
        for child in node.all(self.paths.children) {
            if let Some(kind) = self.kind(child).filter(|_| !gone.is_some_and(|gone| gone.is(child))) {
                self.copy(kind, child, Operation::Upsert, seen_at)?;
            }
            self.walk(child, gone, seen_at)?;
        }
        Ok(())
    }

    /// Adds one row of what `object` says; an upsert that lacks a column becomes a patch.
    fn copy(
        &mut self,
        kind: Kind,
        object: Node<'_>,
        mut operation: Operation,
        seen_at: i64,
    ) -> Result<(), Box<Refusal>> {
        let Some(id) = object.integer(self.paths.id) else { return Ok(()) };
        let mut row = self.answer.row(kind as usize);
        row.push_i64(id);
        for (column, path) in self.columns[kind as usize].iter().zip(&self.paths.columns[kind as usize]) {
            // A null on the way, as in `license: null`, says that there is none.
            let node =
                object.at(path.whole).or_else(|| object.at(path.parent?).filter(|node| node.value() == Value::Null));
            let Some(node) = node else {
                row.push_absent();
                if operation == Operation::Upsert {
                    operation = Operation::Patch;
                }
                continue;
            };
            let cell = column.cell(node.value()).map_err(|error| Refusal {
                code: error.code.to_owned(),
                message: error.message,
                entity: Some(kind.entity().to_owned()),
                field: Some(column.name.to_owned()),
                path: None,
                value: Some(error.value),
                step: Some(error.step.to_owned()),
            })?;
            row.push_cell(&cell);
        }
        row.push_timestamp(seen_at);
        row.finish(operation);
        Ok(())
    }

    /// What a node is a copy of, by its shape; only what has a key is anything.
    fn kind(&self, node: Node<'_>) -> Option<Kind> {
        let paths = self.paths;
        if !node.is_object() {
            return None;
        }
        node.integer(paths.id)?;
        let has = |path| node.at(path).is_some();
        if node.text(paths.login).is_some() {
            return match node.text(paths.of_type).as_deref() {
                Some("User" | "Bot" | "Mannequin") => Some(Kind::Account),
                Some("Organization") => Some(Kind::Organization),
                // Older copies of organisations say no type. An invitation has a login too, and is nobody.
                None if has(paths.members_url) => Some(Kind::Organization),
                _ => None,
            };
        }
        node.text(paths.name)?;
        if node.text(paths.full_name).is_some() || node.text(paths.url).is_some_and(|url| is_repository_url(&url)) {
            Some(Kind::Repository)
        } else if has(paths.slug) && has(paths.members_url) && has(paths.privacy) {
            Some(Kind::Team)
        } else if has(paths.external_url) && has(paths.owner) && has(paths.node_id) {
            Some(Kind::App)
        } else {
            None
        }
    }

    /// The object whose end a delivery tells.
    fn gone<'n>(&self, event: &str, payload: Node<'n>) -> Option<(Kind, Node<'n>)> {
        let deleted = payload.text(self.paths.action).as_deref() == Some("deleted");
        let (kind, member) = match event {
            "repository" if deleted => (Kind::Repository, self.paths.repository),
            "organization" if deleted => (Kind::Organization, self.paths.organization),
            "team" if deleted => (Kind::Team, self.paths.team),
            // The last member left with the team: `{id, name, deleted: true}`.
            "membership" => (Kind::Team, self.paths.team),
            _ => return None,
        };
        let object = payload.object(member)?;
        let said = object.at(self.paths.deleted).is_some_and(|node| node.value() == Value::Boolean(true));
        (deleted || said).then_some((kind, object))
    }

    /// Adds the fact.
    fn delivery(&mut self, checksum: Option<&str>, event: &str, delivered_at: i64, payload: Node<'_>) {
        let paths = self.paths;
        let id = |member, kind| payload.object(member).filter(|node| self.kind(*node) == Some(kind))?.integer(paths.id);
        let references: [Option<i64>; REFERENCES.len()] = [
            id(paths.sender, Kind::Account),
            id(paths.sender, Kind::Organization),
            id(paths.organization, Kind::Organization),
            id(paths.repository, Kind::Repository),
            // A team that is gone is down to its number and name.
            payload.object(paths.team).and_then(|team| team.integer(paths.id)),
            [paths.installed_app, paths.check_run_app, paths.check_suite_app]
                .into_iter()
                .find_map(|path| payload.integer(path)),
        ];
        let installation = payload.object(paths.installation).and_then(|node| node.integer(paths.id));
        let mut row = self.answer.row(DELIVERY);
        push(&mut row, checksum.map(|checksum| Cell::Text(Cow::Borrowed(checksum))));
        row.push_text(event);
        push(&mut row, payload.text(paths.action).map(Cell::Text));
        row.push_timestamp(delivered_at);
        push(&mut row, installation.map(Cell::Int64));
        for reference in references {
            push(&mut row, reference.map(Cell::Int64));
        }
        row.finish(Operation::Upsert);
    }
}

/// `…/repos/<owner>/<name>` and nothing after it: labels and milestones lie deeper.
fn is_repository_url(url: &str) -> bool {
    match url.split_once("/repos/").and_then(|(_, rest)| rest.split_once('/')) {
        Some((owner, name)) => !owner.is_empty() && !name.is_empty() && !name.contains(['/', '?', '{']),
        None => false,
    }
}

fn push(row: &mut Row<'_>, cell: Option<Cell<'_>>) {
    row.push_cell(&cell.unwrap_or(Cell::Null));
}

fn refuse(code: &str, message: &str, path: &str) -> Result<(), Box<Refusal>> {
    Err(Box::new(Refusal { path: Some(path.to_owned()), ..Refusal::of_record(code, message) }))
}
