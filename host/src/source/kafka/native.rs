//! The calls to Kafka's client that its safe interface lacks: topic ids, and headers whose names are not UTF-8.
//!
//! The only module of the host with unsafe code. Each call makes what it needs, copies what it is told into values of
//! ours and frees the rest before it returns, so that no pointer outlives the function that got it.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::client::{Client, ClientContext};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;

/// Frees what a call made, whichever way the function ends.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    /// Takes over what `make` returned, which `free` frees.
    fn new(made: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!made.is_null()).then_some(Self(made, free))
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer is not null, came from the call whose result `free` frees, and is freed here only.
        unsafe { (self.1)(self.0) }
    }
}

/// A topic could not be described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DescribeError {
    /// It is not there.
    NoSuchTopic(String),
    /// No broker answered, or not with what was asked; trying again is safe.
    Unanswered(String),
}

/// The id of each of `topics`, as the cluster says within `timeout`. Blocks, for twice as long where nobody answers.
pub(super) fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, String>, DescribeError> {
    let ids = describe(client, topics, timeout);
    if let (Err(DescribeError::Unanswered(_)), Some(topic)) = (&ids, topics.first()) {
        // The client asks the broker that it takes for the controller, for as long as it has not heard of another: one
        // that died would be asked until the client looks around by itself, which is minutes later.
        client.fetch_metadata(Some(topic), timeout).ok();
    }
    ids
}

fn describe<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, String>, DescribeError> {
    let unanswered = |what: &str| DescribeError::Unanswered(what.to_owned());
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let names: Vec<CString> = topics
        .iter()
        .map(|topic| CString::new(topic.as_str()).map_err(|_| DescribeError::NoSuchTopic(topic.clone())))
        .collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let rk = client.native_ptr();

    // SAFETY: `rk` lives as long as `client`, which is borrowed throughout. The array has as many names as it is said
    // to have, each ends in a zero, and the collection copies them. Queue, options and collection are freed at the end
    // of this function, the queue after the request: a late answer to it is dropped by the client.
    let event = unsafe {
        let queue = Owned::new(native::rd_kafka_queue_new(rk), native::rd_kafka_queue_destroy);
        let queue = queue.ok_or_else(|| unanswered("the client made no queue"))?;
        let describe = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options =
            Owned::new(native::rd_kafka_AdminOptions_new(rk, describe), native::rd_kafka_AdminOptions_destroy);
        let options = options.ok_or_else(|| unanswered("the client made no options"))?;
        native::rd_kafka_AdminOptions_set_request_timeout(options.0, milliseconds, null_mut(), 0);
        let made = native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let collection = Owned::new(made, native::rd_kafka_TopicCollection_destroy);
        let collection = collection.ok_or_else(|| unanswered("the client made no list of topics"))?;
        native::rd_kafka_DescribeTopics(rk, collection.0, options.0, queue.0);
        let polled = native::rd_kafka_queue_poll(queue.0, milliseconds.saturating_add(100));
        Owned::new(polled, native::rd_kafka_event_destroy).ok_or_else(|| unanswered("no broker answered in time"))?
    };

    let mut ids = BTreeMap::new();
    // SAFETY: the event is not null and lives until the end of this function; whatever it is asked for belongs to it,
    // and is copied before. The array of descriptions has `count` entries, none of them null. Texts end in a zero.
    unsafe {
        if native::rd_kafka_event_error(event.0) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(DescribeError::Unanswered(text(native::rd_kafka_event_error_string(event.0))));
        }
        let result = native::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Err(unanswered("the client answered something else"));
        }
        let mut count = 0;
        let descriptions = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for place in 0..count {
            let description = *descriptions.add(place);
            let name = text(native::rd_kafka_TopicDescription_name(description));
            let error = native::rd_kafka_TopicDescription_error(description);
            let code = if error.is_null() {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
            } else {
                native::rd_kafka_error_code(error)
            };
            match code {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    let id = native::rd_kafka_TopicDescription_topic_id(description);
                    ids.insert(name, text(native::rd_kafka_Uuid_base64str(id)));
                }
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => return Err(DescribeError::NoSuchTopic(name)),
                _ => return Err(DescribeError::Unanswered(text(native::rd_kafka_error_string(error)))),
            }
        }
    }
    match topics.iter().find(|topic| !ids.contains_key(*topic)) {
        Some(missing) => Err(DescribeError::NoSuchTopic(missing.clone())),
        None => Ok(ids),
    }
}

/// Gives the headers of `message` to `each`, in order: names, whatever is not UTF-8 in them replaced, and values.
pub(super) fn headers<'m>(message: &'m BorrowedMessage<'_>, mut each: impl FnMut(String, Option<&'m [u8]>)) {
    let mut list = null_mut();
    // SAFETY: the message is borrowed for as long as the values are used, and owns its headers, which nobody changes.
    // For each place below their number the call sets name, which ends in a zero, value and size, and a value that is
    // not null has `size` bytes.
    unsafe {
        if native::rd_kafka_message_headers(message.ptr(), &mut list) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for place in 0..native::rd_kafka_header_cnt(list) {
            let (mut name, mut value, mut size) = (null(), null::<c_void>(), 0);
            if native::rd_kafka_header_get_all(list, place, &mut name, &mut value, &mut size)
                == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
                each(text(name), value);
            }
        }
    }
}

/// A copy of a text of the client's.
///
/// # Safety
/// `text` is null, or ends in a zero and stays as it is during the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: what the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
