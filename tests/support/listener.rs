//! A server of this process: accepts connections on 127.0.0.1 and serves each on a thread of its
//! own.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long a connection waits for a client that sends nothing.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A listening port. Accepts no more connections when dropped.
pub(crate) struct Listener {
    port: u16,
    stopped: Arc<AtomicBool>,
}

/// A port that is bound and does not accept connections yet.
pub(crate) struct Bound {
    listener: TcpListener,
    port: u16,
}

impl Bound {
    /// Binds a port of 127.0.0.1, or any free one if `port` is 0.
    pub(crate) fn new(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        Self { listener, port }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Accepts connections from now on. `serve` is given each of them.
    pub(crate) fn serve(self, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Listener {
        let stopped = Arc::new(AtomicBool::new(false));
        let (is_over, serve) = (Arc::clone(&stopped), Arc::new(serve));
        thread::spawn(move || {
            for connection in self.listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let _ = connection.set_read_timeout(Some(READ_TIMEOUT));
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(connection));
            }
        });
        Listener { port: self.port, stopped }
    }
}

impl Listener {
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
