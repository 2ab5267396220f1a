#!/usr/bin/env python3
"""Counts what webhook deliveries embed, without any of Silversmith's code; prints JSON.

usage: github.py FOLDER [REPOSITORY_ID]

FOLDER holds NDJSON files, read in the order of their names. An object with an `id` is
- an account where it has a `login` and its type is User, Bot or Mannequin;
- an organisation where it has a `login` and its type is Organization, or none and a `members_url`;
- a repository where it has a `name` and a `full_name`, or a `url` that ends in /repos/<owner>/<name>.

With REPOSITORY_ID it prints the versions of that repository too: of the rows in the order of files, those are kept that
say something new at their time (models/dimension.py), and equal neighbours are one version.
"""
import bisect, json, pathlib, re, sys
from datetime import datetime, timezone

REPOSITORY_URL = re.compile(r"/repos/[^/]+/[^/?{]+$")
PLAIN = ["node_id", "name", "full_name", "private", "fork", "html_url", "language", "default_branch", "topics", "archived",
         "disabled", "is_template", "size", "stargazers_count", "forks_count", "open_issues_count"]
BLANK = ["description", "homepage"]  # "" and null are the same
TIMES = ["created_at", "updated_at", "pushed_at"]
NESTED = {"owner_id": ("owner", "id"), "license": ("license", "spdx_id")}
DELETED = "_deleted"


def is_id(value):
    return isinstance(value, int) and not isinstance(value, bool)


def is_text(value):
    return isinstance(value, str)


def kind(o):
    if not is_id(o.get("id")):
        return None
    if is_text(o.get("login")):
        if o.get("type") in ("User", "Bot", "Mannequin"):
            return "account"
        if o.get("type") == "Organization" or (not is_text(o.get("type")) and "members_url" in o):
            return "organization"
        return None
    if is_text(o.get("name")) and (is_text(o.get("full_name")) or REPOSITORY_URL.search(str(o.get("url") or ""))):
        return "repository"
    return None


def walk(value):
    """Every object below a value, each before those in it."""
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from walk(member)
    elif isinstance(value, list):
        for element in value:
            yield from walk(element)


def micros(value):
    if value is None:
        return None
    at = datetime.fromtimestamp(value, timezone.utc) if is_id(value) else datetime.fromisoformat(value.replace("Z", "+00:00"))
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def columns(o):
    """What a copy of a repository says: only what it carries."""
    said = {name: o[name] for name in PLAIN if name in o}
    said |= {name: o[name] or None for name in BLANK if name in o}
    said |= {name: micros(o[name]) for name in TIMES if name in o}
    for column, (outer, inner) in NESTED.items():
        if outer in o and o[outer] is None:
            said[column] = None
        elif inner in (o.get(outer) or {}):
            said[column] = o[outer][inner]
    return said


def state_at(log, sequence):
    state = {}
    for _, _, said in log[:bisect.bisect_right(log, sequence, key=lambda row: row[0])]:
        state.update(said)
    return state


def versions(rows):
    """Rows (sequence, what is said) in the order of arrival to versions, by the rule for dimensions."""
    log, rows_kept = [], 0  # by (sequence, arrival)
    for arrival, (sequence, said) in enumerate(rows):
        before = state_at(log, sequence)
        repeated = any(row[0] == sequence and row[2] == said for row in log)
        if repeated or all(c in before and before[c] == v for c, v in said.items()):
            continue
        bisect.insort(log, (sequence, arrival, said), key=lambda row: row[:2])
        rows_kept += 1
    found = []
    for sequence in sorted({row[0] for row in log}):
        state = state_at(log, sequence)
        if not found or found[-1]["values"] != state:
            found.append({"valid_from": sequence, "values": state})
    for version in found:
        version["values"] = dict(version["values"])
        version["deleted"] = version["values"].pop(DELETED)
    return rows_kept, found


def main(folder, repository=None):
    records, ids, rows = 0, {"account": set(), "organization": set(), "repository": set()}, []
    for file in sorted(pathlib.Path(folder).glob("*.ndjson")):
        for line in file.read_bytes().splitlines():
            delivery = json.loads(line)
            records += 1
            event, payload = delivery["event"], delivery["payload"]
            if is_text(payload.get("event")) and isinstance(payload.get("payload"), dict):
                payload = payload["payload"]  # recorded with its envelope
            seen_at = micros(delivery["delivered_at"])
            ended = payload.get("repository") if event == "repository" and payload.get("action") == "deleted" else None
            for o in walk([value for value in payload.values()]):
                if (known := kind(o)) is not None:
                    ids[known].add(o["id"])
                    if known == "repository" and o["id"] == repository and o is not ended:
                        rows.append((seen_at, columns(o) | {DELETED: False}))
            if ended is not None and ended["id"] == repository:
                rows.append((seen_at, {DELETED: True}))
    answer = {"records": records} | {name: len(found) for name, found in ids.items()}
    if repository is not None:
        rows_kept, found = versions(rows)
        answer["history"] = {"id": repository, "emitted": len(rows), "kept": rows_kept, "versions": found}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
