//! What each construct of the language makes of a record.

use silversmith_sdk::plugin::Property;
use silversmith_sdk::testing::Record;

use crate::support::{configuration, contracts, harness, rows, run, verdict};

const COMMERCE: &str = "
customer: external_id text key; email text; full_name text; segment text; phone text; changed_at timestamp
product: external_id text key; title text
order: external_id text key; status text; currency text; total decimal(18,2); origin text
order_line: order_id text key; line_no int64 key; line_id text; unit_price decimal(18,2)
";

/// The mapping of the design's chapter on mapping files, letter by letter.
const EXAMPLE: &str = r#"# yaml-language-server: $schema=../../../mapping.schema.json
mapping: 1
source: orders
schema_version: "2.1"
skip:
  - { when: "$.kind == 'heartbeat'", reason: heartbeat }
entities:
  - entity: customer                              # several blocks may fill one entity
    each: ["$.orders[*].cust", $.referrer]        # one path or a union; a node counts once
    when: "@.ref_id && @.ref_id != null"          # conditions are RFC 9535 filters: @ the node, $ the record
    partial: "!@.name"                            # true or a condition: the row is a patch, absent fields stay as they were
    stub: "!@.contact"                            # true or a condition: only makes the key exist
    delete: "@.state == 'erased'"
    on_error: row                                 # refuse the row only; default: record
    fields:
      external_id: { path: .ref_id, normalize: [trim, uppercase] }
      email:      { path: .contact.email, normalize: [trim, lowercase, empty_to_null] }
      full_name:  { join: [.name.first, .name.last], separator: " " }
      segment:    { path: .seg, normalize: [{ lookup: { P: premium, S: standard } }], default: standard }
      phone:      { first: [".phones[?@.main == true].no", ".phones[0].no"] }
      changed_at: { first: [.updated, $.ts], normalize: [{ timestamp: [rfc3339, epoch_ms] }] }
  - entity: order
    each: $.orders[*]
    fields:
      external_id: .id
      status: { case: [{ when: "@.paid == true", then: { const: paid } }], default: open }
      currency:   { path: .cur, normalize: [currency] }
      total:      { path: .total_minor, normalize: [{ scale: { currency: .cur } }] }     # JPY has no minor unit
      origin:     { record: checksum }            # checksum, position, key, topic, header, file, event_time
    references:                                   # exactly the target contract's key columns; null gives a null reference
      customer: { external_id: { path: .cust.ref_id, normalize: [trim, uppercase] } }
    entities:                                     # blocks nest
      - entity: order_line
        each: .lines[*]
        fields:
          order_id:   ^.id                        # ^ the enclosing node
          line_no:    { index: ".", start: 1 }
          line_id:    { key: "." }                # member name in a map keyed by id
          unit_price: { path: .price, normalize: [decimal] }
        references:
          product: { external_id: .sku }
"#;

#[test]
fn the_example_of_the_design() {
    let harness = harness(&configuration(EXAMPLE, contracts(COMMERCE)));
    assert_eq!(harness.descriptor().warnings, []);
    let record = r#"{
        "ts": 1700000000500, "kind": "orders",
        "referrer": {"ref_id": "r-9"},
        "orders": [
            {"id": "o1", "paid": true, "cur": "JPY", "total_minor": 500,
             "cust": {"ref_id": " c-1 ", "name": {"first": "Ada", "last": "Lovelace"}, "contact": {"email": " ADA@X.ORG "},
                      "seg": "P", "phones": [{"no": "1"}, {"no": "2", "main": true}], "updated": "2024-01-02T03:04:05+01:00"},
             "lines": [{"sku": "s1", "price": "12.50"}, {"sku": null, "price": 3}]},
            {"id": "o2", "cur": "usd", "total_minor": "166780",
             "cust": {"ref_id": "c-2", "contact": {"email": ""}, "seg": null, "phones": [{"no": "7"}]}, "lines": []},
            {"id": "o3", "cur": null, "total_minor": null, "cust": {"ref_id": null}},
            {"id": "o4", "cust": {"ref_id": "c-4", "state": "erased"}}
        ]}"#;
    let checksum = "fb2c5b9a1b3c";
    let answer = harness.run(&[Record::new(record).with(Property::Checksum, checksum)]).expect("the batch is answered");
    assert_eq!(verdict(&answer, 0), "transformed");
    let expected = [
        "Upsert customer {'changed_at':'2024-01-02T02:04:05Z','email':'ada@x.org','external_id':'C-1','full_name':'Ada Lovelace','phone':'2','segment':'premium'}",
        "Patch customer {'changed_at':'2023-11-14T22:13:20.5Z','email':null,'external_id':'C-2','phone':'7','segment':'standard'}",
        "Delete customer {'changed_at':'2023-11-14T22:13:20.5Z','email':null,'external_id':'C-4','full_name':null,'phone':null,'segment':'standard'}",
        "Stub customer {'changed_at':'2023-11-14T22:13:20.5Z','email':null,'external_id':'R-9','full_name':null,'phone':null,'segment':null}",
        "Upsert order {'currency':'JPY','customer.external_id':'C-1','external_id':'o1','origin':'fb2c5b9a1b3c','status':'paid','total':'500.00'}",
        "Upsert order {'currency':'USD','customer.external_id':'C-2','external_id':'o2','origin':'fb2c5b9a1b3c','status':'open','total':'1667.80'}",
        "Upsert order {'currency':null,'customer.external_id':null,'external_id':'o3','origin':'fb2c5b9a1b3c','status':'open','total':null}",
        "Upsert order {'currency':null,'customer.external_id':'C-4','external_id':'o4','origin':'fb2c5b9a1b3c','status':'open','total':null}",
        "Upsert order_line {'line_id':null,'line_no':1,'order_id':'o1','product.external_id':'s1','unit_price':'12.50'}",
        "Upsert order_line {'line_id':null,'line_no':2,'order_id':'o1','product.external_id':null,'unit_price':'3.00'}",
    ];
    assert_eq!(rows(&answer), expected);
    let hits = |path: &str| {
        let at = harness.descriptor().paths.iter().position(|known| known == path);
        answer.path_hits[at.unwrap_or_else(|| panic!("no path {path} in {:?}", harness.descriptor().paths))]
    };
    assert_eq!((hits("$.orders[*]"), hits("$.orders[*].lines[*]"), hits("$.orders[*].lines[*].sku")), (4, 2, 2));
    assert_eq!((hits("$.orders[*].cust"), hits("$.referrer")), (4, 1));
}

#[test]
fn the_descriptor_states_where_values_come_from() {
    let harness = harness(&configuration(EXAMPLE, contracts(COMMERCE)));
    let sources: Vec<_> = harness
        .descriptor()
        .outputs
        .iter()
        .flat_map(|output| {
            output
                .columns()
                .map(|field| format!("{}.{} {}", output.entity, field.name, field.source.as_deref().unwrap_or("-")))
        })
        .collect();
    for expected in [
        "customer.email $.orders[*].cust.contact.email | $.referrer.contact.email",
        "customer.changed_at $.orders[*].cust.updated | $.referrer.updated, $.ts",
        "order.external_id $.orders[*].id",
        "order.total $.orders[*].total_minor, $.orders[*].cur",
        "order.origin -",
        "order_line.order_id $.orders[*].id",
        "order_line.line_no $.orders[*].lines[*]",
    ] {
        assert!(sources.iter().any(|source| source == expected), "{expected} in {sources:#?}");
    }
}

#[test]
fn a_rule_that_holds_filters_and_no_rows_refuse() {
    let harness = harness(&configuration(EXAMPLE, contracts(COMMERCE)));
    let answer = harness
        .run_payloads(&[r#"{"kind": "heartbeat"}"#, r#"{"kind": "orders", "orders": []}"#, "{", ""])
        .expect("answered");
    let verdicts: Vec<_> = (0..4).map(|record| verdict(&answer, record)).collect();
    assert_eq!(
        verdicts,
        [
            "filtered heartbeat",
            "refused no_rows - - - -",
            "refused invalid_json - - - -",
            "refused invalid_json - - - -"
        ]
    );
}

#[test]
fn a_name_that_stands_twice_refuses_where_a_path_follows_it() {
    let body = "entities: [{ entity: customer, fields: { external_id: $.id } }]";
    let answer = run(body, COMMERCE, &[r#"{"id": 1, "id": 2}"#, r#"{"id": 1, "x": 1, "x": 2}"#]);
    assert_eq!(verdict(&answer, 0), "refused duplicate_key - - - -");
    assert_eq!(verdict(&answer, 1), "transformed");
}

#[test]
fn a_failure_refuses_the_record_or_the_row() {
    let contract = "item: id text key; price decimal(6,2)";
    let body = |reach: &str| {
        format!(
            "entities: [{{ entity: item, each: '$.items[*]', on_error: {reach}, fields: {{ id: .id, price: {{ path: .p, normalize: [decimal] }} }} }}]"
        )
    };
    let record = r#"{"items": [{"id": "a", "p": "1.5"}, {"id": "b", "p": "x"}, {"id": "c", "p": "2"}]}"#;
    let answer = run(&body("record"), contract, &[record]);
    assert_eq!(verdict(&answer, 0), "refused bad_number price $.items[*].p x decimal");
    assert_eq!(answer.rows, []);
    let answer = run(&body("row"), contract, &[record]);
    assert_eq!(verdict(&answer, 0), "transformed");
    assert_eq!(rows(&answer), ["Upsert item {'id':'a','price':'1.50'}", "Upsert item {'id':'c','price':'2.00'}"]);
    let refusal = &answer.row_refusals[0].refusal;
    assert_eq!(
        (refusal.code.as_str(), refusal.entity.as_deref(), refusal.value.as_deref()),
        ("bad_number", Some("item"), Some("x"))
    );
    // All rows refused alone: the record is accounted for by them.
    let answer = run(&body("row"), contract, &[r#"{"items": [{"id": "b", "p": "x"}]}"#]);
    assert_eq!((verdict(&answer, 0).as_str(), answer.rows.len(), answer.row_refusals.len()), ("transformed", 0, 1));
}

#[test]
fn several_nodes_refuse_unless_the_first_or_all_are_wanted() {
    let contract = "item: id text key; tags text";
    let body = |value: &str| format!("entities: [{{ entity: item, fields: {{ id: $.id, tags: {value} }} }}]");
    let record = r#"{"id": "a", "tags": [null, "x", "y"]}"#;
    let answer = run(&body("{ path: '$.tags[*]' }"), contract, &[record]);
    assert_eq!(verdict(&answer, 0), "refused several_matches tags $.tags[*] - -");
    assert_eq!(
        rows(&run(&body("{ first: ['$.tags[*]'] }"), contract, &[record])),
        ["Upsert item {'id':'a','tags':'x'}"]
    );
    assert_eq!(
        rows(&run(&body("{ join: ['$.tags[*]', $.id], separator: '-' }"), contract, &[record])),
        ["Upsert item {'id':'a','tags':'x-y-a'}"]
    );
}

#[test]
fn a_patch_asserts_what_is_there() {
    let contract = "item: id text key; a text; b text; c text; d int64";
    let body = "entities: [{ entity: item, partial: true, fields: {
        id: { path: .id, default: none }, a: .a, b: { path: .b, default: x }, c: { const: fixed }, d: { count: '.d[*]' } },
        references: { other: { entity: item, key: { id: .other } } } }]";
    let answer = run(
        body,
        contract,
        &[r#"{"a": null}"#, r#"{"id": 1, "a": "", "b": null, "other": null}"#, r#"{"b": "y", "other": 2}"#],
    );
    assert_eq!(
        rows(&answer),
        [
            "Patch item {'a':null,'c':'fixed','d':0,'id':'none'}",
            "Patch item {'a':'','b':'x','c':'fixed','d':0,'id':'1','other.id':null}",
            "Patch item {'b':'y','c':'fixed','d':0,'id':'none','other.id':'2'}",
        ]
    );
}

#[test]
fn a_map_keyed_by_id_gives_names_and_an_array_numbers() {
    let contract = "item: id text key; no int64; parent text";
    let body = "entities: [{ entity: item, each: ['$.map.*', '$.list[*]'], fields: { id: { key: '.' }, no: { index: '.' }, parent: { key: ^ } } }]";
    let answer = run(body, contract, &[r#"{"map": {"a\u0062": {}}, "list": [{}]}"#]);
    assert_eq!(
        rows(&answer),
        ["Upsert item {'id':'ab','no':null,'parent':null}", "Upsert item {'id':null,'no':0,'parent':null}"]
    );
}

#[test]
fn a_reference_is_whole_or_null_and_may_depend_on_a_condition() {
    let contract =
        "delivery: id text key\naccount: id int64 key\norganization: id int64 key\nline: order text key; no int64 key";
    let body = r#"entities:
  - entity: delivery
    fields: { id: $.id }
    references:
      sender: { entity: account, key: { id: { case: [{ when: "@.sender.type == 'User'", then: .sender.id }] } } }
      sending_organization: { entity: organization, key: { id: { case: [{ when: "@.sender.type == 'Organization'", then: .sender.id }] } } }
      line: { no: .no, order: .order }
"#;
    let answer = run(
        body,
        contract,
        &[
            r#"{"id": "1", "sender": {"type": "User", "id": 7}, "order": "o", "no": 1}"#,
            r#"{"id": "2", "sender": {"type": "Organization", "id": 8}, "order": "o"}"#,
        ],
    );
    assert_eq!(
        rows(&answer),
        [
            "Upsert delivery {'id':'1','line.no':1,'line.order':'o','sender.id':7,'sending_organization.id':null}",
            "Upsert delivery {'id':'2','line.no':null,'line.order':null,'sender.id':null,'sending_organization.id':8}",
        ]
    );
}

#[test]
fn the_record_lends_its_properties() {
    let contract = "item: id text key; topic text; header text; at timestamp; file text";
    let body = "entities: [{ entity: item, fields: { id: { record: position }, topic: { record: topic },
        header: { record: { header: x-tenant } }, at: { record: event_time }, file: { record: file, default: none } } }]";
    let harness = harness(&configuration(&format!("mapping: 1\n{body}"), contracts(contract)));
    let record = Record::new("{}")
        .with(Property::Position, "orders/0/7")
        .with(Property::Topic, "t")
        .with(Property::Header("x-tenant".to_owned()), "acme")
        .with(Property::EventTime, "2024-01-02T03:04:05.000000Z");
    let answer = harness.run(&[record]).expect("answered");
    assert_eq!(
        rows(&answer),
        ["Upsert item {'at':'2024-01-02T03:04:05Z','file':'none','header':'acme','id':'orders/0/7','topic':'t'}"]
    );
}

#[test]
fn a_tombstone_is_filtered_or_deletes_by_a_rule() {
    let contract = "item: id text key; name text";
    let blocks = "entities: [{ entity: item, fields: { id: $.id } }]\n";
    let records = [Record::tombstone().with(Property::Key, "K7"), Record::new(r#"{"id": "a"}"#)];
    let run = |body: &str| {
        harness(&configuration(&format!("mapping: 1\n{body}"), contracts(contract))).run(&records).expect("answered")
    };
    let answer = run(blocks);
    assert_eq!((verdict(&answer, 0).as_str(), verdict(&answer, 1).as_str()), ("filtered tombstone", "transformed"));
    let answer = run(&format!(
        "{blocks}tombstone: [{{ entity: item, fields: {{ id: {{ record: key, normalize: [lowercase] }} }} }}]"
    ));
    assert_eq!(rows(&answer), ["Delete item {'id':'k7'}", "Upsert item {'id':'a'}"]);
}

#[test]
fn anchors_share_what_blocks_have_in_common() {
    let body = "entities:
  - { entity: item, each: $.a, fields: &fields { id: { path: .id, normalize: &clean [trim, lowercase] }, name: .name } }
  - { entity: item, each: $.b, fields: { <<: *fields, name: { path: .title, normalize: *clean } } }
";
    let answer = run(
        body,
        "item: id text key; name text",
        &[r#"{"a": {"id": " A ", "name": " N "}, "b": {"id": "B", "title": " T "}}"#],
    );
    assert_eq!(rows(&answer), ["Upsert item {'id':'a','name':' N '}", "Upsert item {'id':'b','name':'t'}"]);
}

#[test]
fn a_nested_block_follows_its_enclosing_node() {
    let contract = "a: id text key\nb: id text key; a text; root text";
    let body = "entities:
  - entity: a
    each: '$.as[*]'
    when: '@.on == true'
    fields: { id: .id }
    entities:
      - { entity: b, each: '.bs[*]', fields: { id: ., a: ^.id, root: $.root } }
      - { entity: b, fields: { id: { join: [.id, ^.root], separator: '/' } } }
";
    let answer = run(
        body,
        contract,
        &[r#"{"root": "r", "as": [{"id": "1", "on": true, "bs": ["x", "y"]}, {"id": "2", "bs": ["z"]}]}"#],
    );
    assert_eq!(
        rows(&answer),
        [
            "Upsert a {'id':'1'}",
            "Upsert b {'a':'1','id':'x','root':'r'}",
            "Upsert b {'a':'1','id':'y','root':'r'}",
            "Upsert b {'id':'1'}",
        ]
    );
}

#[test]
fn rows_under_one_parent_share_what_lies_outside_of_them() {
    let contract = "line: id text key; n int64 key; at timestamp; cur text; name text; gone text";
    let body = "entities:
  - entity: line
    each: '$.orders[*].lines[*]'
    on_error: row
    partial: '@.part == true'
    fields:
      id: { path: $.id, normalize: [uppercase] }
      n: .n
      at: { path: $.ts, normalize: [{ timestamp: [epoch_s] }] }
      cur: { path: $.cur, normalize: [currency] }
      name: { path: $.name, normalize: [trim], default: none }
      gone: $.gone
    references: { line: { id: $.id, n: .n } }
";
    let lines = r#"[{"n": 1}, {"n": "bad"}, {"n": 2, "part": true}, {"n": 3}]"#;
    let record = |id: &str| {
        format!(
            r#"{{"id": "{id}", "ts": 0, "cur": "EUR", "name": " é ", "orders": [{{"lines": {lines}}}, {{"lines": [{{"n": 4}}]}}]}}"#
        )
    };
    let answer =
        run(body, contract, &[&record("a"), &record("b"), r#"{"id": "c", "orders": [{"lines": [{"n": 5}]}]}"#]);
    let row = |operation: &str, id: &str, n: u8| {
        let gone = if operation == "Upsert" { ",'gone':null" } else { "" };
        format!(
            "{operation} line {{'at':'1970-01-01T00:00:00Z','cur':'EUR'{gone},'id':'{}','line.id':'{id}','line.n':{n},'n':{n},'name':'é'}}",
            id.to_uppercase()
        )
    };
    let of_record = |id: &str| [row("Upsert", id, 1), row("Patch", id, 2), row("Upsert", id, 3), row("Upsert", id, 4)];
    let mut expected = [of_record("a"), of_record("b")].concat();
    expected.push(
        "Upsert line {'at':null,'cur':null,'gone':null,'id':'C','line.id':'c','line.n':5,'n':5,'name':'none'}"
            .to_owned(),
    );
    assert_eq!(rows(&answer), expected);
    assert_eq!(answer.row_refusals.len(), 2);
}

#[test]
fn steps_run_in_list_order() {
    let contract =
        "item: id text key; money decimal(18,2); day date; at timestamp; flag boolean; country text; ref text";
    let body = r#"entities: [{ entity: item, fields: {
        id: { path: .id, normalize: [{ extract: 'urn:uuid:(.+)' }, uppercase] },
        money: { path: .money, normalize: [{ decimal: { thousands: '.', point: ',' } }] },
        day: { path: .day, normalize: [{ date: '%d.%m.%Y' }] },
        at: { path: .at, normalize: [{ timestamp: { forms: '%d.%m.%Y %H:%M', offset: '+02:00' } }] },
        flag: { path: .flag, normalize: [{ boolean: { true: [J], false: [N] } }] },
        country: { path: .country, normalize: [country] },
        ref: { path: .ref, normalize: [trim, collapse_spaces, nfc] } } }]"#;
    let record = r#"{"id": "urn:uuid:ab", "money": "1.667,80", "day": "24.12.2023", "at": "24.12.2023 01:30", "flag": "N", "country": "CHE", "ref": " e\u0301  b "}"#;
    let answer = run(body, contract, &[record, r#"{"id": "urn:uuid:", "day": "x"}"#, r#"{"id": "nothing"}"#]);
    assert_eq!(
        rows(&answer),
        [
            "Upsert item {'at':'2023-12-23T23:30:00Z','country':'CH','day':'2023-12-24','flag':false,'id':'AB','money':'1667.80','ref':'é b'}"
        ]
    );
    assert_eq!(verdict(&answer, 2), "refused no_match id $.id nothing extract");
}
