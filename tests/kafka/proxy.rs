//! A way to a broker that fails when it is told to: between a host and the listener that the broker names to it.
//!
//! It knows nothing of Kafka. What it does to bytes happens to answers at any place, in the middle of one too.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How often a connection looks what it is to do.
const BEAT: Duration = Duration::from_millis(10);

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Bytes pass.
    Open,
    /// They pass so much later.
    Late(Duration),
    /// Half of what comes from the broker at once passes, and the connection ends.
    Torn,
    /// Nothing passes; the connection ends when the way is another.
    Silent,
    /// Connections end, and no new one is taken.
    Closed,
}

/// The way between a host and a broker.
pub(super) struct Proxy(Arc<Mutex<Way>>);

impl Proxy {
    /// Takes connections on `entrance`, for as long as the process runs, and leads them to `port` on loopback.
    pub(super) fn new(entrance: TcpListener, port: u16) -> Self {
        let way = Arc::new(Mutex::new(Way::Open));
        let taken = Arc::clone(&way);
        spawn(move || {
            for host in entrance.incoming().flatten() {
                if see(&taken) == Way::Closed {
                    continue;
                }
                let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (Ok(up), Ok(down)) = (host.try_clone(), broker.try_clone()) else { continue };
                let (of_host, of_broker) = (Arc::clone(&taken), Arc::clone(&taken));
                spawn(move || pump(up, broker, Side::Host, &of_host));
                spawn(move || pump(down, host, Side::Broker, &of_broker));
            }
        });
        Self(way)
    }

    /// Has the way be another from now on.
    pub(super) fn set(&self, way: Way) {
        *self.0.lock().expect("nobody panics while holding it") = way;
    }
}

fn see(way: &Mutex<Way>) -> Way {
    *way.lock().expect("nobody panics while holding it")
}

/// Where bytes come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Host,
    Broker,
}

/// Moves bytes until either end, or the way, ends the connection.
fn pump(mut from: TcpStream, mut to: TcpStream, side: Side, way: &Mutex<Way>) {
    from.set_read_timeout(Some(BEAT)).expect("the time is not zero");
    let mut bytes = vec![0; 1 << 16];
    while see(way) != Way::Closed {
        let read = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        let passes = match see(way) {
            Way::Open => read,
            Way::Late(late) => {
                sleep(late);
                read
            }
            Way::Torn if side == Side::Host => read,
            Way::Torn => {
                to.write_all(&bytes[..read / 2]).ok();
                break;
            }
            Way::Silent => {
                while see(way) == Way::Silent {
                    sleep(BEAT);
                }
                break;
            }
            Way::Closed => break,
        };
        if to.write_all(&bytes[..passes]).is_err() {
            break;
        }
    }
    // They may have ended already.
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
