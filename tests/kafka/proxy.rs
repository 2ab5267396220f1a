//! A way to a broker that fails when it is told to: between a host and the listener that the broker names to it.
//!
//! Requests and answers pass whole, one after the other, until the way is another. What becomes of an answer may happen
//! in the middle of it too.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{sleep, spawn};
use std::time::Duration;

use super::frames::{self, Asked, Refusal};

/// How often a connection looks what it is to do.
const BEAT: Duration = Duration::from_millis(10);

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All passes.
    Open,
    /// It passes so much later.
    Late(Duration),
    /// Half of an answer passes, and the connection ends.
    Torn,
    /// Nothing passes; the connection ends when the way is another.
    Silent,
    /// Connections end, and no new one is taken.
    Closed,
    /// All passes, but these requests are answered with errors. What the broker did for them it has done.
    Refusing(&'static [Refusal]),
}

/// The way between a host and a broker.
#[derive(Clone)]
pub(super) struct Proxy(Arc<Mutex<State>>);

struct State {
    way: Way,
    /// Whether the last refusal of the way was given to somebody; those before it lead to it.
    refused: bool,
}

impl Proxy {
    /// Takes connections on `entrance`, for as long as the process runs, and leads them to `port` on loopback.
    pub(super) fn new(entrance: TcpListener, port: u16) -> Self {
        let proxy = Self(Arc::new(Mutex::new(State { way: Way::Open, refused: false })));
        let taking = proxy.clone();
        spawn(move || {
            for host in entrance.incoming().flatten() {
                if taking.way() == Way::Closed {
                    continue;
                }
                let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (Ok(up), Ok(down)) = (host.try_clone(), broker.try_clone()) else { continue };
                let asked = Open::default();
                let (of_host, of_broker) = (taking.clone(), taking.clone());
                let requests = Arc::clone(&asked);
                spawn(move || of_host.pump(up, broker, Side::Host, &requests));
                spawn(move || of_broker.pump(down, host, Side::Broker, &asked));
            }
        });
        proxy
    }

    /// Has the way be another from now on.
    pub(super) fn set(&self, way: Way) {
        *held(&self.0) = State { way, refused: false };
    }

    /// Whether the way did what it is for: where it refuses, the last of its refusals was given to somebody. Those before
    /// it lead there, and who is on the way there already does not ask for them.
    pub(super) fn is_met(&self) -> bool {
        let state = held(&self.0);
        state.refused || !matches!(state.way, Way::Refusing(_))
    }

    fn way(&self) -> Way {
        held(&self.0).way
    }

    /// Moves frames until either end, or the way, ends the connection.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, side: Side, asked: &Open) {
        from.set_read_timeout(Some(BEAT)).expect("the time is not zero");
        let (mut bytes, mut come) = (vec![0; 1 << 16], vec![]);
        'connected: while self.way() != Way::Closed {
            match from.read(&mut bytes) {
                Ok(0) => break,
                Ok(read) => come.extend_from_slice(&bytes[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => break,
            }
            while let Some(frame) = frames::next(&mut come) {
                if !self.pass(frame, &mut to, side, asked) {
                    break 'connected;
                }
            }
        }
        // They may have ended already.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }

    /// Lets a frame pass, or what the way lets of it. Whether the connection goes on.
    fn pass(&self, mut frame: Vec<u8>, to: &mut TcpStream, side: Side, asked: &Open) -> bool {
        let question = match side {
            Side::Host => {
                let question = frames::asked(&frame);
                held(asked).insert(question.number, question);
                None
            }
            Side::Broker => held(asked).remove(&frames::answers(&frame)),
        };
        let way = self.way();
        match way {
            Way::Open => {}
            Way::Late(late) => sleep(late),
            Way::Torn if side == Side::Host => {}
            Way::Torn => {
                to.write_all(&frame[..frame.len() / 2]).ok();
                return false;
            }
            Way::Silent => {
                while self.way() == Way::Silent {
                    sleep(BEAT);
                }
                return false;
            }
            Way::Closed => return false,
            Way::Refusing(refusals) => {
                // In the end that of the last.
                let mut refused = false;
                for refusal in refusals {
                    refused = question.is_some_and(|question| frames::refuse(&mut frame, question, *refusal));
                }
                let mut state = held(&self.0);
                state.refused |= refused && state.way == way;
            }
        }
        to.write_all(&frame).is_ok()
    }
}

/// The requests of a connection that are not answered, by their numbers.
type Open = Arc<Mutex<BTreeMap<i32, Asked>>>;

fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nobody panics while holding it")
}

/// Where bytes come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Host,
    Broker,
}
