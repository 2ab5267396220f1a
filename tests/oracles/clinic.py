#!/usr/bin/env python3
"""Counts what FHIR bundles hold, without any of Silversmith's code; prints JSON.

usage: clinic.py FOLDER

Reads every *.json below FOLDER, in the order of the paths; what is no Bundle is counted and left. Patients and encounters are
told apart by the id of the resource, practitioners by NPI, facilities by the identifier of the organisation. Dimensions
come without a time of their own, so each history is what was said, in the order of arrival, less repetitions.
"""
import json, pathlib, re, sys
from datetime import datetime

NPI, SYNTHEA = "http://hl7.org/fhir/sid/us-npi", "https://github.com/synthetichealth/synthea"
SSN = "http://hl7.org/fhir/sid/us-ssn"


def first(values):
    return next(iter(values), None)


def identifier(resource, system):
    return first(i["value"] for i in resource.get("identifier", []) if i.get("system") == system)


def telecom(resource, system):
    return first(t["value"] for t in resource.get("telecom", []) if t.get("system") == system)


def code(concept):
    return first(c.get("code") for c in (concept or {}).get("coding", []))


def joined(values, separator=" "):
    return separator.join(values) or None


def micros(text):
    if text is None:
        return None
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def address(resource):
    where = resource.get("address") or {}
    return where[0] if isinstance(where, list) else where


def patient(r):
    names = {name.get("use"): name for name in r["name"]}
    where, maiden = address(r), names.get("maiden", {})
    return r["id"], {
        "medical_record_number": first(i["value"] for i in r["identifier"] if code(i.get("type")) == "MR"),
        "social_security_number": identifier(r, SSN),
        "family_name": names["official"]["family"], "maiden_name": maiden.get("family"),
        "given_names": joined(names["official"]["given"]), "sex": r.get("gender"), "birth_date": r.get("birthDate"),
        "deceased_at": micros(r.get("deceasedDateTime")), "marital_status": code(r.get("maritalStatus")),
        "language": first(code(c["language"]) for c in r.get("communication", [])), "phone": telecom(r, "phone"),
        "street": joined(where.get("line", []), ", "), "city": where.get("city"), "state": where.get("state"),
        "postal_code": where.get("postalCode"), "country": where.get("country"),
    }


def practitioner(r):
    name, where = r["name"][0], address(r)
    email = telecom(r, "email")
    return identifier(r, NPI), {
        "resource_id": r["id"], "family_name": name.get("family"), "given_names": joined(name.get("given", [])),
        "prefix": joined(name.get("prefix", [])), "sex": r.get("gender"), "email": email and email.strip().lower(),
        "active": r.get("active"), "city": where.get("city"), "state": where.get("state"),
    }


def facility(r):
    where = address(r)
    return identifier(r, SYNTHEA), {
        "name": " ".join(r["name"].split()), "kind": first(code(t) for t in r.get("type", [])), "active": r.get("active"),
        "phone": telecom(r, "phone"), "street": joined(where.get("line", []), ", "), "city": where.get("city"),
        "state": where.get("state"), "postal_code": where.get("postalCode"), "country": where.get("country"),
        "latitude": None, "longitude": None,
    }


def place(r):
    """What a location says of the facility that manages it; nothing of the rest."""
    where = r.get("position") or {}
    return r["managingOrganization"]["identifier"]["value"], {name: where.get(name) for name in ["latitude", "longitude"]}


def encounter(r):
    def after(reference, mark):
        return reference.split(mark, 1)[1] if reference and mark in reference else None

    kinds = r.get("type", [])
    who = first(p["individual"]["reference"] for p in r.get("participant", []) if "individual" in p)
    return r["id"], {
        "status": r["status"], "class": r.get("class", {}).get("code"), "type_code": code(first(kinds)),
        "type_text": first(k["text"] for k in kinds if "text" in k),
        "started_at": micros(r["period"]["start"]), "ended_at": micros(r["period"].get("end")),
        "patient": re.sub(r"^(urn:uuid:|Patient/)", "", r["subject"]["reference"]),
        "practitioner": after(who, "us-npi|"),
        "facility": after(r.get("serviceProvider", {}).get("reference"), "synthea|"),
    }


READ = {"Patient": patient, "Practitioner": practitioner, "Organization": facility, "Encounter": encounter}


def main(folder):
    documents = others = 0
    histories = {kind: {} for kind in READ}
    for file in sorted(pathlib.Path(folder).rglob("*.json")):
        document = json.loads(file.read_bytes())
        documents += 1
        if document.get("resourceType") != "Bundle":
            others += 1
            continue
        resources = [entry["resource"] for entry in document["entry"]]
        for resource in resources:
            if (read := READ.get(resource["resourceType"])) is None:
                continue
            key, values = read(resource)
            history = histories[resource["resourceType"]].setdefault(key, [])
            if not history or history[-1] != values:
                history.append(values)
        # Locations come after all else of their document, as the last that is said of a facility.
        for resource in resources:
            if resource["resourceType"] == "Location" and "managingOrganization" in resource:
                key, said = place(resource)
                history = histories["Organization"].setdefault(key, [])
                if not history or history[-1] | said != history[-1]:
                    history.append((history[-1] if history else {}) | said)
    encounters = {key: said[0] for key, said in histories["Encounter"].items()}
    dangling = sum(e["practitioner"] not in histories["Practitioner"] for e in encounters.values())
    patients, practitioners, facilities = (histories[kind] for kind in ["Patient", "Practitioner", "Organization"])
    print(json.dumps({
        "documents": documents, "not_bundles": others,
        "patients": len(patients), "practitioners": len(practitioners), "facilities": len(facilities),
        "encounters": len(encounters), "encounters_without_practitioner": dangling,
        "patient_histories": patients,
        "practitioner_histories": {key: practitioners[key] for key in sorted(practitioners)[:5]},
        "facility_histories": {key: facilities[key] for key in sorted(facilities)[:5]},
        "encounter_rows": {key: encounters[key] for key in sorted(encounters)[:20]},
    }))


if __name__ == "__main__":
    main(sys.argv[1])
