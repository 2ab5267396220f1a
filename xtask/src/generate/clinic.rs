//! FHIR R4 bundles of patients who do not exist, in the shape that Synthea writes them, only smaller.
//!
//! One bundle a patient, and one each for the hospitals and the practitioners that the patients' encounters refer
//! to: patients by `urn:uuid:…`, the others by identifier.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::time::{DAY_MS, MINUTE_MS, START_MS, date, rfc3339};
use super::world::pick;

const SYNTHEA: &str = "https://github.com/synthetichealth/synthea";
const NPI: &str = "http://hl7.org/fhir/sid/us-npi";
const HOSPITALS: [(&str, &str); 3] =
    [("Stone Bridge Hospital", "Arden"), ("Low Meadow Clinic", "Bexley"), ("Harbour Practice", "Corwen")];
const PRACTITIONERS: [(&str, &str); 4] = [("Rosa", "Hale"), ("Omar", "Finch"), ("Lena", "Stroud"), ("Piotr", "Vance")];
const PATIENTS: [(&str, &str, &str); 3] =
    [("Mira", "Tolland", "female"), ("Jonas", "Eckert", "male"), ("Ines", "Caldas", "female")];
const VISITS: [(&str, &str); 3] = [
    ("410620009", "Well child visit (procedure)"),
    ("185345009", "Encounter for symptom"),
    ("162673000", "General examination of patient (procedure)"),
];

/// The sample: file name and contents of each bundle.
pub(crate) fn bundles() -> Vec<(String, Vec<u8>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let hospitals: Vec<Value> = (0..HOSPITALS.len()).flat_map(hospital).collect();
    let practitioners: Vec<Value> = (0..PRACTITIONERS.len()).flat_map(practitioner).collect();
    let mut bundles = vec![
        ("hospitals.json".to_owned(), bundle("batch", &hospitals)),
        ("practitioners.json".to_owned(), bundle("batch", &practitioners)),
    ];
    for (i, (given, family, _)) in PATIENTS.iter().enumerate() {
        let name = format!("{}-{}.json", given.to_lowercase(), family.to_lowercase());
        bundles.push((name, bundle("transaction", &patient(&mut rng, i))));
    }
    bundles
}

fn bundle(kind: &str, resources: &[Value]) -> Vec<u8> {
    let entry: Vec<Value> = resources
        .iter()
        .map(|resource| {
            json!({
                "fullUrl": format!("urn:uuid:{}", resource["id"].as_str().expect("every resource here has an id")),
                "resource": resource,
                "request": { "method": "POST", "url": resource["resourceType"] },
            })
        })
        .collect();
    let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entry });
    let mut bytes = serde_json::to_vec_pretty(&bundle).expect("a value has a JSON form");
    bytes.push(b'\n');
    bytes
}

fn uuid(kind: u32, number: usize) -> String {
    format!("{kind:08x}-5117-4e5a-8000-{number:012x}")
}

fn npi(index: usize) -> String {
    format!("99990{:05}", 17 * (index + 1))
}

fn hospital(index: usize) -> [Value; 2] {
    let (name, city) = HOSPITALS[index];
    let (organization, location) = (uuid(1, index), uuid(2, index));
    let telecom = json!([{ "system": "phone", "value": format!("555-010-{index:04}") }]);
    let address = json!({ "line": [format!("{} Mill Lane", index + 1)], "city": city, "state": "MA", "postalCode": "01000", "country": "US" });
    [
        json!({
            "resourceType": "Organization", "id": organization, "active": true, "name": name,
            "identifier": [{ "system": SYNTHEA, "value": organization }],
            "type": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "prov", "display": "Healthcare Provider" }], "text": "Healthcare Provider" }],
            "telecom": telecom, "address": [address],
        }),
        json!({
            "resourceType": "Location", "id": location, "status": "active", "name": name,
            "identifier": [{ "system": SYNTHEA, "value": location }],
            "telecom": telecom, "address": address,
            "managingOrganization": { "identifier": { "system": SYNTHEA, "value": organization }, "display": name },
        }),
    ]
}

fn practitioner(index: usize) -> [Value; 2] {
    let (given, family) = PRACTITIONERS[index];
    let hospital = index % HOSPITALS.len();
    [
        json!({
            "resourceType": "Practitioner", "id": uuid(3, index), "active": true,
            "identifier": [{ "system": NPI, "value": npi(index) }],
            "name": [{ "family": family, "given": [given], "prefix": ["Dr."] }],
            "telecom": [{ "system": "email", "value": format!("{given}.{family}@example.com"), "use": "work" }],
            "address": [{ "city": HOSPITALS[hospital].1, "state": "MA", "country": "US" }],
            "gender": if index.is_multiple_of(2) { "female" } else { "male" },
        }),
        json!({
            "resourceType": "PractitionerRole", "id": uuid(4, index),
            "practitioner": { "identifier": { "system": NPI, "value": npi(index) }, "display": format!("Dr. {given} {family}") },
            "organization": { "identifier": { "system": SYNTHEA, "value": uuid(1, hospital) }, "display": HOSPITALS[hospital].0 },
            "code": [{ "coding": [{ "system": "http://nucc.org/provider-taxonomy", "code": "208D00000X", "display": "General Practice" }] }],
        }),
    ]
}

/// A patient, and the encounters with an observation each.
fn patient(rng: &mut ChaCha8Rng, index: usize) -> Vec<Value> {
    let (given, family, gender) = PATIENTS[index];
    let id = uuid(5, index);
    let mut names = vec![json!({ "use": "official", "family": family, "given": [given] })];
    if index == 0 {
        // Two names: a path over all of them selects two nodes.
        names.push(json!({ "use": "maiden", "family": "Ashby", "given": [given] }));
    }
    let born_ms = START_MS - rng.random_range(20 * 365..60 * 365) * DAY_MS;
    let mut resources = vec![json!({
        "resourceType": "Patient", "id": id,
        "meta": { "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"] },
        "identifier": [
            { "system": SYNTHEA, "value": id },
            {
                "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "SS" }] },
                "system": "http://hl7.org/fhir/sid/us-ssn", "value": format!("999-00-{:04}", 1000 + index),
            },
        ],
        "name": names,
        "telecom": [{ "system": "phone", "value": format!("555-020-{index:04}"), "use": "home" }],
        "gender": gender,
        "birthDate": date(born_ms),
        "address": [{ "line": ["4 Orchard Row"], "city": HOSPITALS[index].1, "state": "MA", "country": "US" }],
        "maritalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "S" }], "text": "Never Married" },
    })];
    for visit in 0..3 + index {
        let start_ms =
            START_MS + (visit as i64 * 90 + rng.random_range(0..60)) * DAY_MS + rng.random_range(480..960) * MINUTE_MS;
        let period = json!({ "start": rfc3339(start_ms, 0), "end": rfc3339(start_ms + 15 * MINUTE_MS, 0) });
        let (code, text) = pick(rng, &VISITS);
        let doctor = rng.random_range(0..PRACTITIONERS.len() as u32) as usize;
        let hospital = doctor % HOSPITALS.len();
        let encounter = uuid(6, index * 100 + visit);
        resources.push(json!({
            "resourceType": "Encounter", "id": encounter, "status": "finished",
            "identifier": [{ "use": "official", "system": SYNTHEA, "value": encounter }],
            "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
            "type": [{ "coding": [{ "system": "http://snomed.info/sct", "code": code, "display": text }], "text": text }],
            "subject": { "reference": format!("urn:uuid:{id}"), "display": format!("{given} {family}") },
            "participant": [{
                "type": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PPRF" }] }],
                "period": period,
                "individual": {
                    "reference": format!("Practitioner?identifier={NPI}|{}", npi(doctor)),
                    "display": format!("Dr. {} {}", PRACTITIONERS[doctor].0, PRACTITIONERS[doctor].1),
                },
            }],
            "period": period,
            "location": [{ "location": { "reference": format!("Location?identifier={SYNTHEA}|{}", uuid(2, hospital)), "display": HOSPITALS[hospital].0 } }],
            "serviceProvider": { "reference": format!("Organization?identifier={SYNTHEA}|{}", uuid(1, hospital)), "display": HOSPITALS[hospital].0 },
        }));
        resources.push(json!({
            "resourceType": "Observation", "id": uuid(7, index * 100 + visit), "status": "final",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "29463-7", "display": "Body Weight" }], "text": "Body Weight" },
            "subject": { "reference": format!("urn:uuid:{id}") },
            "encounter": { "reference": format!("urn:uuid:{encounter}") },
            "effectiveDateTime": rfc3339(start_ms, 0),
            "valueQuantity": { "value": rng.random_range(450..1100) / 10, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg" },
        }));
    }
    resources
}
